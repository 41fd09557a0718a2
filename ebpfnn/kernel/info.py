"""Information about a kernel object (BPF_OBJ_GET_INFO_BY_FD, Linux 4.13)."""

from __future__ import annotations

import ctypes

from .fd import Descriptor
from .syscall import Command, ObjectInfo, bpf, u32, u64


class ProgramInfo(ctypes.Structure):
    """``struct bpf_prog_info``, as of Linux 6.18; an older kernel leaves unknown fields 0."""

    _fields_ = (
        ("type", u32),
        ("id", u32),
        ("tag", ctypes.c_ubyte * 8),
        ("jited_prog_len", u32),
        ("xlated_prog_len", u32),
        ("jited_prog_insns", u64),
        ("xlated_prog_insns", u64),
        ("load_time", u64),
        ("created_by_uid", u32),
        ("nr_map_ids", u32),
        ("map_ids", u64),
        ("name", ctypes.c_char * 16),
        ("ifindex", u32),
        ("gpl_compatible", u32),
        ("netns_dev", u64),
        ("netns_ino", u64),
        ("nr_jited_ksyms", u32),
        ("nr_jited_func_lens", u32),
        ("jited_ksyms", u64),
        ("jited_func_lens", u64),
        ("btf_id", u32),
        ("func_info_rec_size", u32),
        ("func_info", u64),
        ("nr_func_info", u32),
        ("nr_line_info", u32),
        ("line_info", u64),
        ("jited_line_info", u64),
        ("nr_jited_line_info", u32),
        ("line_info_rec_size", u32),
        ("jited_line_info_rec_size", u32),
        ("nr_prog_tags", u32),
        ("prog_tags", u64),
        ("run_time_ns", u64),
        ("run_cnt", u64),
        ("recursion_misses", u64),
        ("verified_insns", u32),
        ("attach_btf_obj_id", u32),
        ("attach_btf_id", u32),
    )


class MapInfo(ctypes.Structure):
    """``struct bpf_map_info`` up to Linux 5.16."""

    _fields_ = (
        ("type", u32),
        ("id", u32),
        ("key_size", u32),
        ("value_size", u32),
        ("max_entries", u32),
        ("map_flags", u32),
        ("name", ctypes.c_char * 16),
        ("ifindex", u32),
        ("btf_vmlinux_value_type_id", u32),
        ("netns_dev", u64),
        ("netns_ino", u64),
        ("btf_id", u32),
        ("btf_key_type_id", u32),
        ("btf_value_type_id", u32),
        ("btf_vmlinux_id", u32),
        ("map_extra", u64),
    )


class BtfInfo(ctypes.Structure):
    """``struct bpf_btf_info``; ``name`` points to ``name_len`` bytes of the caller's."""

    _fields_ = (("btf", u64), ("btf_size", u32), ("id", u32), ("name", u64), ("name_len", u32), ("kernel_btf", u32))


def read_info(held: Descriptor, info: ctypes.Structure) -> None:
    """Fills ``info`` with the kernel's information about ``held``. Raises :class:`~ebpfnn.errors.KernelError`."""
    attributes = ObjectInfo(held.fileno(), ctypes.sizeof(info), ctypes.addressof(info))
    bpf(Command.OBJ_GET_INFO_BY_FD, attributes, f"info of '{held.name}'")
