"""Small hand-written networks, not ours, that the quantization tests prepare."""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE_HW = (24, 32)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut, as a ResNet has them."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


class TinyResNet(nn.Module):
    """A ResNet in the usual style: max pooling, in-place rectifiers, adaptive pooling, dropout, view by x.size(0)."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = BasicBlock(8, 8, 1)
        self.layer2 = BasicBlock(8, 16, 2)
        self.average = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.average(self.layer2(self.layer1(self.pool(self.stem(x)))))
        x = x.view(x.size(0), -1)
        return self.fc(self.dropout(x))


class Branches(nn.Module):
    """Every tie at once: average pooling, bilinear enlarging, a rectified branch in a signed concatenation, slices."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 1)
        self.c = nn.Conv2d(16, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)  # signed
        b = functional.relu6(self.b(functional.avg_pool2d(a, 2)))
        b = functional.interpolate(b, size=SIZE_HW, mode="bilinear", align_corners=False)
        return self.c(torch.cat([a, b], dim=1))[:, 1:4]


def trained_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms statistics and scales that are not the initial ones; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(module.num_features, generator=generator) * 2 - 0.5)
            module.bias.data.copy_(torch.randn(module.num_features, generator=generator) * 0.3)
    return model.eval()


def images(count: int, seed: int = 0) -> Tensor:
    """Smooth random images, float32 (n, 3, h, w), in [-1, 1]."""
    coarse = torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return functional.interpolate(coarse, size=SIZE_HW, mode="bilinear", align_corners=False)
