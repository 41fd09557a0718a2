"""Maps of every definition: loaded, and their effect seen from a program that ran."""

from __future__ import annotations

import ctypes
import errno
import mmap
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from declarations import DECLARATIONS

from ebpfnn.errors import KernelError, NotSupported, ObjectError
from ebpfnn.kernel import Map, Object, Program, possible_cpus
from ebpfnn.kernel.info import ProgramInfo, read_info
from ebpfnn.kernel.load import program
from ebpfnn.kernel.load.map_loading import open_or_pin
from ebpfnn.kernel.syscall import Command
from ebpfnn.obj import MapSpec, ObjectSpec
from ebpfnn.obj.spec import PIN_BY_NAME
from ebpfnn.obj.uapi import MapType

Build = Callable[..., ObjectSpec]
pytestmark = pytest.mark.root
KEY = struct.Struct("<I")


@pytest.fixture
def build(build_spec: Build) -> Build:
    return lambda source, name="test.o": build_spec(DECLARATIONS + source, name)


def number(data: bytes | None) -> int:
    assert data is not None
    return int.from_bytes(data, "little")


def test_a_legacy_maps_section(build: Build) -> None:
    spec = build("""
        struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; };
        struct bpf_map_def first SEC("maps") = { .type = 2, .key_size = 4, .value_size = 8, .max_entries = 3 };
        struct bpf_map_def second SEC("maps") = { .type = 1, .key_size = 4, .value_size = 4, .max_entries = 5, .map_flags = 1 };
        SEC("syscall") int run(void *context)
        {
            __u32 key = 2; __u64 value = 42; __u32 small = 7;
            bpf_map_update_elem(&first, &key, &value, 0);
            bpf_map_update_elem(&second, &key, &small, 0);
            return 0;
        }""")
    with Object.load(spec) as loaded:
        loaded.programs["run"].run()
        assert number(loaded.maps["first"].lookup(KEY.pack(2))) == 42
        assert number(loaded.maps["second"].lookup(KEY.pack(2))) == 7
        assert loaded.maps["second"].info().map_flags == 1


def test_maps_in_maps_begin_with_their_values(build: Build) -> None:
    spec = build("""
        struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); };
        struct inner one SEC(".maps"), two SEC(".maps");
        struct {
            __uint(type, 12); __uint(max_entries, 4); __type(key, __u32);
            __array(values, struct inner);
        } outer SEC(".maps") = { .values = { [1] = &one, [3] = &two } };
        struct { __uint(type, 13); __uint(max_entries, 4); __uint(key_size, 4); __array(values, struct inner); }
            hash SEC(".maps") = { .values = { &two } };
        SEC("syscall") int run(__u32 *context)
        {
            __u32 zero = 0, value = 42, key = *context;
            void *found = bpf_map_lookup_elem(&outer, &key);
            return found ? (bpf_map_update_elem(found, &zero, &value, 0), 1) : 0;
        }""")
    with Object.load(spec) as loaded:
        run = loaded.programs["run"].run
        assert [run(context=KEY.pack(key)).return_value for key in range(4)] == [0, 1, 0, 1]
        assert number(loaded.maps["one"].lookup(KEY.pack(0))) == 42
        assert number(loaded.maps["hash"].lookup(KEY.pack(0))) == loaded.maps["two"].info().id


def test_a_map_of_maps_that_says_nothing_of_them(build: Build) -> None:
    spec = build('struct { __uint(type, 12); __uint(max_entries, 4); __type(key, __u32); } outer SEC(".maps");')
    with pytest.raises(
        ObjectError, match=r"map 'outer' is a map of maps without a definition of its maps; define its values with __array"
    ):
        Object.load(spec)


def test_a_program_array_begins_with_its_programs(build: Build) -> None:
    spec = build("""
        SEC("xdp") int one(struct xdp_md *context) { return 11; }
        SEC("xdp") int two(struct xdp_md *context) { return 22; }
        SEC("?xdp") int three(struct xdp_md *context) { return 33; }
        struct {
            __uint(type, 3); __uint(max_entries, 3); __uint(key_size, 4);
            __array(values, int (void *));
        } programs SEC(".maps") = { .values = { [0] = (void *)&two, [1] = (void *)&one, [2] = (void *)&three } };
        SEC("xdp") int run(struct xdp_md *context) { bpf_tail_call(context, &programs, context->rx_queue_index); return 1; }
        SEC("xdp") int run0(struct xdp_md *context) { bpf_tail_call(context, &programs, 0); return 1; }
        SEC("xdp") int run1(struct xdp_md *context) { bpf_tail_call(context, &programs, 1); return 1; }
        SEC("xdp") int run2(struct xdp_md *context) { bpf_tail_call(context, &programs, 2); return 1; }""")
    with Object.load(spec) as loaded:
        ran = [loaded.programs[name].run(data=bytes(64)).return_value for name in ("run0", "run1", "run2")]
        assert ran == [22, 11, 1]


def test_a_value_of_the_wrong_kind(build: Build) -> None:
    spec = build("""
        struct { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } plain SEC(".maps");
        struct { __uint(type, 3); __uint(max_entries, 3); __uint(key_size, 4); __array(values, int (void *)); }
            programs SEC(".maps") = { .values = { (void *)&plain } };""")
    with pytest.raises(ObjectError, match=r"map 'programs' holds programs, but its value 0, 'plain', does not exist"):
        Object.load(spec)


def test_sizes_that_depend_on_the_machine(build: Build) -> None:
    spec = build("""
        struct { __uint(type, 27); __uint(max_entries, 5000); } ring SEC(".maps");
        struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); } events SEC(".maps");
        struct { __uint(type, 6); __uint(max_entries, 2); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
        struct { __uint(type, 30); __uint(max_entries, 10); __type(value, __u32); __uint(map_extra, 3); } bloom SEC(".maps");
        struct { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32);
                 __uint(map_flags, 4); __uint(numa_node, 0); } near SEC(".maps");""")
    with Object.load(spec) as loaded:
        entries = {name: held.info().max_entries for name, held in loaded.maps.items()}
        assert entries["ring"] == 2 * mmap.PAGESIZE
        assert entries["events"] == possible_cpus()
        assert len(loaded.maps["counts"].lookup(KEY.pack(0)) or b"") == 8 * possible_cpus()
        assert loaded.maps["bloom"].info().map_extra == 3
        assert loaded.maps["near"].info().map_flags == 4


def test_sections_of_the_authors_own(build: Build) -> None:
    spec = build("""
        int counter SEC(".data.counters") = 40;
        const volatile int step SEC(".rodata.settings") = 2;
        int total SEC(".bss.totals");
        static volatile const char *const greeting = "hello";
        SEC("syscall") int run(void *context) { counter += step; total = greeting[1]; return counter; }""")
    spec.set_variable("step", KEY.pack(3))
    with Object.load(spec) as loaded:
        assert loaded.programs["run"].run().return_value == 43
        assert number(loaded.maps[".data.counters"].lookup(KEY.pack(0))) == 43
        assert number(loaded.maps[".bss.totals"].lookup(KEY.pack(0))) == ord("e")
        with pytest.raises(KernelError):
            loaded.maps[".rodata.settings"].update(KEY.pack(0), KEY.pack(9))


def test_data_that_holds_addresses_is_refused_where_it_is_used(build: Build) -> None:
    spec = build("""
        int x; int *pointer = &x;
        SEC("syscall") int fine(void *context) { return x; }
        SEC("?syscall") int broken(void *context) { return *pointer; }""")
    Object.load(spec).close()
    spec.keep_programs("broken")
    with pytest.raises(ObjectError, match=r"'broken' uses section '.data', which contains addresses"):
        Object.load(spec)


CALLBACKS = """
    struct bpf_timer { __u64 opaque[2]; } __attribute__((aligned(8)));
    struct entry { struct bpf_timer timer; __u64 fired; };
    struct { __uint(type, 2); __uint(max_entries, 3); __type(key, __u32); __type(value, __u32); } numbers SEC(".maps");
    struct { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, struct entry); } timers SEC(".maps");
    static int add(__u32 index, __u64 *sum) { *sum += index; return 0; }
    static long add_element(void *map, __u32 *key, __u32 *value, __u64 *sum) { *sum += *value; return 0; }
    static int fire(void *map, __u32 *key, struct entry *entry) { entry->fired = 7; return 0; }
    SEC("syscall") int loops(void *context) { __u64 sum = 0; bpf_loop(10, add, &sum, 0); return sum; }
    SEC("syscall") int elements(void *context)
    {
        __u64 sum = 0; __u32 key = 1, value = 30;
        bpf_map_update_elem(&numbers, &key, &value, 0);
        bpf_for_each_map_elem(&numbers, add_element, &sum, 0);
        return sum;
    }
    SEC("tc") int starts(void *context)
    {
        __u32 key = 0;
        struct entry *entry = bpf_map_lookup_elem(&timers, &key);
        if (!entry)
            return 0;
        bpf_timer_init(&entry->timer, &timers, 1);
        bpf_timer_set_callback(&entry->timer, fire);
        return bpf_timer_start(&entry->timer, 1000, 0) + 5;
    }"""


def test_callbacks(build: Build) -> None:
    with Object.load(build(CALLBACKS)) as loaded:
        assert loaded.programs["loops"].run().return_value == 45
        assert loaded.programs["elements"].run().return_value == 30
        assert loaded.programs["starts"].run(data=bytes(64)).return_value == 5
        for _ in range(1000):
            value = loaded.maps["timers"].lookup(KEY.pack(0)) or b""
            if number(value[16:]) == 7:
                return
            time.sleep(0.005)
    pytest.fail("the timer's callback did not run")


def test_static_functions_outside_text_and_several_programs_in_a_section(build: Build) -> None:
    spec = build("""
        static __noinline __attribute__((section("helpers"))) int twice(int x) { volatile int y = x; return y * 2; }
        __hidden __noinline int thrice(int x) { volatile int y = x; return y * 3; }
        static __noinline SEC("syscall") int once(int x) { volatile int y = x; return y; }
        SEC("syscall") int first(int *context) { return twice(*context) + once(1); }
        SEC("syscall") int second(int *context) { return thrice(*context) + once(2); }""")
    with Object.load(spec) as loaded:
        assert list(loaded.programs) == ["first", "second"]
        assert loaded.programs["first"].run(context=KEY.pack(5)).return_value == 11
        assert loaded.programs["second"].run(context=KEY.pack(5)).return_value == 17


PINNED = """
    struct { __uint(type, 2); __uint(max_entries, %d); __type(key, __u32); __type(value, %s);
             __uint(pinning, LIBBPF_PIN_BY_NAME); } shared SEC(".maps");
    SEC("syscall") int run(void *context)
    {
        __u32 key = 0, *value = bpf_map_lookup_elem(&shared, &key);
        return value ? ++*value : 0;
    }"""


def test_a_map_pinned_by_name_is_reused(build: Build, bpffs: Path) -> None:
    root = bpffs / "below"
    for expected in (1, 2):
        with Object.load(build(PINNED % (1, "__u32")), pin_root=root) as loaded:
            assert loaded.programs["run"].run().return_value == expected
    assert [path.name for path in root.iterdir()] == ["shared"]


def test_a_pinned_map_that_differs_is_told_field_by_field(build: Build, bpffs: Path) -> None:
    Object.load(build(PINNED % (1, "__u32")), pin_root=bpffs).close()
    words = (
        rf"map 'shared' has value_size 8, max_entries 2, but the map pinned at '{bpffs}/shared' has value_size 4, "
        "max_entries 1"
    )
    with pytest.raises(ObjectError, match=words):
        Object.load(build(PINNED % (2, "__u64")), pin_root=bpffs)


def test_a_load_that_fails_leaves_no_pin(build: Build, bpffs: Path) -> None:
    broken = 'SEC("syscall") int broken(void *context) { return *(volatile int *)0; }'
    with pytest.raises(KernelError):
        Object.load(build(PINNED % (1, "__u32") + broken), pin_root=bpffs)
    assert not list(bpffs.iterdir())


def test_a_pin_outside_of_bpffs(build: Build, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="is not on a BPF file system"):
        Object.load(build(PINNED % (1, "__u32")), pin_root=tmp_path)


def test_another_process_that_pins_first_wins(bpffs: Path) -> None:
    spec = MapSpec("raced", MapType.ARRAY, 4, 4, 1)
    path = bpffs / "raced"

    def create() -> Map:
        with Map.create(spec) as winner:
            winner.update(KEY.pack(0), KEY.pack(42))
            winner.pin(path)
        return Map.create(spec)

    found, is_new = open_or_pin(path, spec, create)
    with found:
        assert not is_new
        assert number(found.lookup(KEY.pack(0))) == 42


def test_maps_that_are_given(build: Build) -> None:
    spec = build(PINNED % (1, "__u32"))
    with Map.create(replace(spec.maps["shared"], pinning=0)) as mine:
        mine.update(KEY.pack(0), KEY.pack(41))
        with Object.load(spec, maps={"shared": mine}) as loaded:
            assert loaded.programs["run"].run().return_value == 42
        assert number(mine.lookup(KEY.pack(0))) == 42


def test_a_given_map_that_differs_or_is_of_no_use(build: Build) -> None:
    spec = build(PINNED % (1, "__u32"))
    with Map.create(MapSpec("other", MapType.HASH, 4, 4, 1)) as other:
        with pytest.raises(ObjectError, match="map 'shared' has type array, but the given map has type hash"):
            Object.load(spec, maps={"shared": other})
        with pytest.raises(ObjectError, match=r"no map 'unheard'; there are: shared"):
            Object.load(spec, maps={"unheard": other})


@pytest.mark.parametrize(
    ("definition", "words", "mended"),
    [
        (
            "__uint(type, 1); __type(key, __u32); __type(value, __u64);",
            "max_entries is 0, so the map could hold nothing; spec.resize_map('odd', max_entries=N)",
            {"max_entries": 4},
        ),
        (
            "__uint(type, 4); __type(key, int); __uint(value_size, 84);",
            "value_size is 84, but a perf_event_array holds descriptors of 4 bytes; spec.resize_map('odd', value_size=4)",
            {"value_size": 4},
        ),
        (
            "__uint(type, 27); __uint(max_entries, 4096); __type(value, __u64);",
            "a ringbuf has neither keys nor values, but here key_size is 0 and value_size 8; "
            "spec.maps['odd'] = replace(spec.maps['odd'], key_size=0, value_size=0)",
            {"value_size": 0},
        ),
    ],
)
def test_numbers_that_no_kernel_takes_are_told(build: Build, definition: str, words: str, mended: dict[str, int]) -> None:
    spec = build(f'struct {{ {definition} }} odd SEC(".maps");')
    with pytest.raises(KernelError) as caught:
        Object.load(spec)
    assert words in str(caught.value)
    assert caught.value.code == "EINVAL"
    spec.maps["odd"] = replace(spec.maps["odd"], **mended, key_type_id=0, value_type_id=0)
    Object.load(spec).close()


def test_the_pattern_of_a_map_of_maps_is_mended_in_its_source(build: Build) -> None:
    spec = build("""
        struct inner { __uint(type, 1); __type(key, __u32); __type(value, __u32); };
        struct { __uint(type, 12); __uint(max_entries, 1); __type(key, __u32); __array(values, struct inner); }
            outer SEC(".maps");""")
    with pytest.raises(KernelError, match=r"map 'outer.inner': .* hold nothing; write __uint\(max_entries, N\) in its source$"):
        Object.load(spec)


def test_an_unknown_pinning_is_refused_as_it_is_loaded_and_can_be_mended(build: Build, bpffs: Path) -> None:
    spec = build(
        "struct { __uint(type, 2); __uint(max_entries, 1); __type(key, int); __type(value, int); __uint(pinning, 7); }"
        ' shared SEC(".maps");'
    )
    assert (spec.maps["shared"].pinning, spec.maps["shared"].pinned) == (7, False)
    with pytest.raises(ObjectError, match=r"map 'shared': pinning 7 is not known; set it: spec\.maps\['shared'\] = replace"):
        Object.load(spec, pin_root=bpffs)
    spec.maps["shared"] = replace(spec.maps["shared"], pinning=PIN_BY_NAME)
    Object.load(spec, pin_root=bpffs).close()
    assert [path.name for path in bpffs.iterdir()] == ["shared"]


def test_names_are_those_that_other_tools_look_for(build: Build) -> None:
    spec = build(
        """
        struct { __uint(type, 2); __uint(max_entries, 1); __type(key, int); __type(value, int); }
            a_name_of_more_than_fifteen SEC(".maps");
        const volatile int step = 1;
        int total;
        int settings SEC(".data.settings") = 1;
        SEC("syscall") int a_program_of_a_long_name(void *c) { return step + total++ + settings++; }""",
        "counting-calls.bpf.o",
    )
    with Object.load(spec) as loaded:
        names = {name: found.info().name.decode() for name, found in loaded.maps.items()}
        assert loaded.programs["a_program_of_a_long_name"].info().name == b"a_program_of_a_"
    assert names == {
        "a_name_of_more_than_fifteen": "a_name_of_more_",
        ".rodata": "counting.rodata",
        ".bss": "counting.bss",
        ".data.settings": ".data.settings",
    }


def test_types_of_keys_and_values_keep_their_names(build: Build) -> None:
    spec = build("""
        typedef __u32 slot_t;
        typedef struct { __u64 calls; } counts_t;
        struct { __uint(type, 1); __uint(max_entries, 1); __type(key, slot_t); __type(value, counts_t); }
            named SEC(".maps");""")
    with Object.load(spec) as loaded:
        info = loaded.maps["named"].info()
    assert spec.btf is not None
    assert [spec.btf[each].name for each in (info.btf_key_type_id, info.btf_value_type_id)] == ["slot_t", "counts_t"]


METADATA = """
    const char bpf_metadata_author[] SEC(".rodata") = "somebody";
    SEC("syscall") int one(void *c) { return 0; }
    SEC("socket") int two(void *c) { return 0; }"""


def test_constants_that_describe_an_object_are_kept_with_its_programs(build: Build) -> None:
    with Object.load(build(METADATA)) as loaded:
        ids = [program_maps(each) for each in loaded.programs.values()]
        assert ids == [[loaded.maps[".rodata"].info().id]] * 2
    with Object.load(build(METADATA.replace("bpf_metadata_author", "author"))) as loaded:
        assert [program_maps(each) for each in loaded.programs.values()] == [[], []]


def test_a_kernel_that_keeps_no_maps_with_programs_loads_them(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    real = program.bpf

    def before_5_10(command: Command, attributes: ctypes.Structure, what: str) -> int:
        if command is Command.PROG_BIND_MAP:
            raise KernelError(f"{what}: refused", errno.EINVAL)
        return real(command, attributes, what)

    monkeypatch.setattr(program, "bpf", before_5_10)
    with Object.load(build(METADATA)) as loaded:
        assert [program_maps(each) for each in loaded.programs.values()] == [[], []]


def program_maps(loaded: Program) -> list[int]:
    """The ids of the maps that the kernel keeps for the program."""
    room = (ctypes.c_uint32 * 8)()
    found = ProgramInfo(nr_map_ids=len(room), map_ids=ctypes.addressof(room))
    read_info(loaded, found)
    return list(room[: found.nr_map_ids])


ARENA = """
    int __attribute__((address_space(1))) counter = 5;
    struct { __uint(type, 33); __uint(map_flags, 1024); __uint(max_entries, 1); } arena SEC(".maps");
    SEC("syscall") int run(void *c) { return ++counter; }"""


def test_a_global_in_an_arena_is_refused_by_its_name(build: Build, build_object: Callable[..., bytes]) -> None:
    if b".addr_space.1" not in build_object(DECLARATIONS + ARENA):
        pytest.skip("this clang knows no arenas")
    told = r"test\.o: 'counter' is a global variable in an arena \(__arena, .*bpf_arena_alloc_pages\(\) at run time, or declare"
    with pytest.raises(ObjectError, match=told):
        build(ARENA)
