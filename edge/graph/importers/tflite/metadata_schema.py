"""The published schema of TFLite metadata as tables: names, types and numbers, nothing else.

Printed by `python -m tests.support.metadata_schema` from metadata_schema.fbs 1.5.0 and, for a segmenter's options,
image_segmenter_metadata_schema.fbs 1.0.0, as mediapipe publishes them (Apache License 2.0): not to be edited.
A field's place in a file is its place here; a union takes two: its member's number, which is its place + 1, and its
value. Enumerations are bytes. ALIGNMENTS: at a multiple of how many bytes a field's vector starts.
"""

from collections.abc import Mapping
from types import MappingProxyType

MODEL_IDENTIFIER = b"M001"
SEGMENTER_IDENTIFIER = b"V001"
TABLES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "AssociatedFile": (
            ("name", "string"),
            ("description", "string"),
            ("type", "AssociatedFileType"),
            ("locale", "string"),
            ("version", "string"),
        ),
        "FeatureProperties": (),
        "ImageSize": (("width", "uint"), ("height", "uint")),
        "ImageProperties": (("color_space", "ColorSpaceType"), ("default_size", "ImageSize")),
        "AudioProperties": (("sample_rate", "uint"), ("channels", "uint")),
        "BoundingBoxProperties": (
            ("index", "[uint]"),
            ("type", "BoundingBoxType"),
            ("coordinate_type", "CoordinateType"),
        ),
        "ValueRange": (("min", "int"), ("max", "int")),
        "Content": (("content_properties", "ContentProperties"), ("range", "ValueRange")),
        "NormalizationOptions": (("mean", "[float]"), ("std", "[float]")),
        "ScoreCalibrationOptions": (("score_transformation", "ScoreTransformationType"), ("default_score", "float")),
        "ScoreThresholdingOptions": (("global_score_threshold", "float"),),
        "BertTokenizerOptions": (("vocab_file", "[AssociatedFile]"),),
        "SentencePieceTokenizerOptions": (
            ("sentencePiece_model", "[AssociatedFile]"),
            ("vocab_file", "[AssociatedFile]"),
        ),
        "RegexTokenizerOptions": (("delim_regex_pattern", "string"), ("vocab_file", "[AssociatedFile]")),
        "ProcessUnit": (("options", "ProcessUnitOptions"),),
        "Stats": (("max", "[float]"), ("min", "[float]")),
        "TensorGroup": (("name", "string"), ("tensor_names", "[string]")),
        "TensorMetadata": (
            ("name", "string"),
            ("description", "string"),
            ("dimension_names", "[string]"),
            ("content", "Content"),
            ("process_units", "[ProcessUnit]"),
            ("stats", "Stats"),
            ("associated_files", "[AssociatedFile]"),
        ),
        "CustomMetadata": (("name", "string"), ("data", "[ubyte]")),
        "SubGraphMetadata": (
            ("name", "string"),
            ("description", "string"),
            ("input_tensor_metadata", "[TensorMetadata]"),
            ("output_tensor_metadata", "[TensorMetadata]"),
            ("associated_files", "[AssociatedFile]"),
            ("input_process_units", "[ProcessUnit]"),
            ("output_process_units", "[ProcessUnit]"),
            ("input_tensor_groups", "[TensorGroup]"),
            ("output_tensor_groups", "[TensorGroup]"),
            ("custom_metadata", "[CustomMetadata]"),
        ),
        "ModelMetadata": (
            ("name", "string"),
            ("description", "string"),
            ("version", "string"),
            ("subgraph_metadata", "[SubGraphMetadata]"),
            ("author", "string"),
            ("license", "string"),
            ("associated_files", "[AssociatedFile]"),
            ("min_parser_version", "string"),
        ),
        "ImageSegmenterOptions": (("activation", "Activation"), ("min_parser_version", "string")),
    }
)
UNIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ContentProperties": ("FeatureProperties", "ImageProperties", "BoundingBoxProperties", "AudioProperties"),
        "ProcessUnitOptions": (
            "NormalizationOptions",
            "ScoreCalibrationOptions",
            "ScoreThresholdingOptions",
            "BertTokenizerOptions",
            "SentencePieceTokenizerOptions",
            "RegexTokenizerOptions",
        ),
    }
)
ENUMERATIONS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "AssociatedFileType": {
            "UNKNOWN": 0,
            "DESCRIPTIONS": 1,
            "TENSOR_AXIS_LABELS": 2,
            "TENSOR_VALUE_LABELS": 3,
            "TENSOR_AXIS_SCORE_CALIBRATION": 4,
            "VOCABULARY": 5,
            "SCANN_INDEX_FILE": 6,
        },
        "ColorSpaceType": {"UNKNOWN": 0, "RGB": 1, "GRAYSCALE": 2},
        "BoundingBoxType": {"UNKNOWN": 0, "BOUNDARIES": 1, "UPPER_LEFT": 2, "CENTER": 3},
        "CoordinateType": {"RATIO": 0, "PIXEL": 1},
        "ScoreTransformationType": {"IDENTITY": 0, "LOG": 1, "INVERSE_LOGISTIC": 2},
        "Activation": {"NONE": 0, "SIGMOID": 1, "SOFTMAX": 2},
    }
)
ALIGNMENTS: Mapping[str, int] = MappingProxyType({"CustomMetadata.data": 16})
