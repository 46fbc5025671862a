"""import-linter's own contracts, made from the one table of layers: what is new and stands in no row breaks them."""

from collections.abc import Sequence
from copy import deepcopy

import grimp
from importlinter import Contract, ContractCheck, fields, output
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

from tests.support.layers import BARRED, ROOT, Layer, read_layers


class LayeredContract(Contract):
    """Imports point down the table, go in no circle, and reach no more than a row says.

    Packages that are roots as a whole never import each other. Modules beside the packages of a root (`edge/errors.py`)
    need no row: they are the lowest layer, and so import no package.
    """

    type_name = "layered"

    table = fields.StringField()

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        """Ask each contract of a copy of the graph, and for packages of which no row speaks."""
        layers = read_layers((ROOT / str(self.table)).read_text("utf-8"))
        contracts = self._contracts(layers, graph)
        checks = [(contract, contract.check(deepcopy(graph), verbose)) for contract in contracts]
        broken = [(contract, check) for contract, check in checks if not check.kept]
        unnamed = self._beside(layers, graph, packages=True)
        return ContractCheck(kept=not broken and not unnamed, metadata={"broken": broken, "unnamed": unnamed})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what each of them has to say."""
        for package in check.metadata["unnamed"]:
            output.print_error(f"{package} stands in no row of {self.table}: say there what it may import")
        for contract, of_it in check.metadata["broken"]:
            output.print_error(f"{contract.name}:")
            contract.render_broken_contract(of_it)

    def _contracts(self, layers: Sequence[Layer], graph: grimp.ImportGraph) -> list[Contract]:
        lowest = self._beside(layers, graph, packages=False)
        exempt = [f"{layer.exempt}.* -> **" for layer in layers if layer.exempt]
        made: list[Contract] = [
            LayersContract("imports point down", self.session_options, {"layers": self._order(layers, lowest)}),
            AcyclicSiblingsContract("no circles", self.session_options, {"ancestors": self._roots()}),
        ]
        for needs, barred in BARRED.items():
            sources = [layer.package for layer in layers if layer.needs == needs] + (lowest if needs == "light" else [])
            if sources and barred:
                options = {"source_modules": sources, "forbidden_modules": list(barred), "ignore_imports": exempt}
                made.append(ForbiddenContract(f"what is {needs} needs no more", self.session_options, options))
        return made

    def _order(self, layers: Sequence[Layer], lowest: Sequence[str]) -> list[str]:
        """As import-linter writes layers: whole roots side by side, the others one by one, then what lies lowest."""
        order: list[str] = []
        for layer in layers:
            if order and {layer.package, *order[-1].split(" | ")} <= set(self._roots()):
                order[-1] += f" | {layer.package}"
            else:
                order.append(layer.package)
        return [*order, *([" : ".join(lowest)] if lowest else [])]

    def _beside(self, layers: Sequence[Layer], graph: grimp.ImportGraph, *, packages: bool) -> list[str]:
        """The packages, or the modules, right in a root, of which no row speaks: neither of them nor of the root."""
        named = {layer.package for layer in layers}
        children = {child for root in set(self._roots()) - named for child in graph.find_children(root)}
        return sorted(child for child in children - named if bool(graph.find_children(child)) is packages)

    def _roots(self) -> list[str]:
        return list(self.session_options["root_packages"])
