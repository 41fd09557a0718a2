"""The interface of plugins, and the code that finds them. docs/plugins.md is the guide."""

from ..built import object_path
from ..compiler import Body, BodyCode, BodyKind, KernelFeatures
from ..errors import nearest
from ..files import zips as zips
from ..files.streams import take
from ..network.inputformat import InputFormat
from ..network.model import Model
from ..network.modelfields import describe_model, model_fields
from ..network.preparation import Preparation
from ..preparation import Picture, Prepared, Row, Values
from .actions import Action
from .discovery import BrokenPlugin, make_manager
from .hookspecs import hookimpl
from .manager import Plugins, configured, why_not
from .samples import InputSource, Member, PreparationKind, Sample, Wanted
from .types import Attachment, Trigger

__all__ = [
    "Action",
    "Attachment",
    "Body",
    "BodyCode",
    "BodyKind",
    "BrokenPlugin",
    "InputFormat",
    "InputSource",
    "KernelFeatures",
    "Member",
    "Model",
    "Picture",
    "Plugins",
    "Preparation",
    "PreparationKind",
    "Prepared",
    "Row",
    "Sample",
    "Trigger",
    "Values",
    "Wanted",
    "configured",
    "describe_model",
    "hookimpl",
    "make_manager",
    "model_fields",
    "nearest",
    "object_path",
    "take",
    "why_not",
]
