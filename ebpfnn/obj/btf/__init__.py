"""BTF: the types of an object or a kernel, read, written and reduced for old kernels."""

from .btf import Btf, Member, Type
from .btf_kinds import Kind, Linkage

__all__ = ["Btf", "Kind", "Linkage", "Member", "Type"]
