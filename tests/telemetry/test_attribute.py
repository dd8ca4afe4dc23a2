"""Which vendor device torch computes on: by UUID or PCI address as torch gives them, never by torch's index."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprof.absent import Absent
from gpuprof.telemetry.attribute import VISIBILITY, Match, attribute, spellings
from gpuprof.telemetry.device import Device

H100 = "0a1b2c3d-1111-2222-3333-444455556666"
H100_B = "0b1b2c3d-1111-2222-3333-444455556666"
NO_VARIABLES: dict[str, str] = {}


def nvidia(index: int, uuid: str | None, bus: int | None, **more) -> Device:
    return Device("nvidia", index, "gpu", "NVML", uuids=frozenset([uuid] if uuid else []),
                  pci=None if bus is None else (0, bus, 0, 0), **more)  # fmt: skip


def amd(index: int, uuids: set[str], bus: int, function: int = 0, hip: int | None = None) -> Device:
    return Device(
        "amd", index, "gpu", "AMD SMI", uuids=frozenset(uuids), pci=(0, bus, 0, function), framework_index=hip
    )


def wanted(vendor: str, *, uuid: str | None = None, pci: str | None = None, index: int = 0) -> dict:
    """As torch describes a GPU."""
    return {"kind": "gpu", "vendor": vendor, "name": "a GPU", "index": index, "uuid": uuid, "pci": pci}


def hip_uuid(digits: str) -> str:
    """HIP fills the 16 bytes of the UUID with 16 ASCII digits, and torch prints bytes as hexadecimal."""
    text = digits.encode().ljust(16, b"\0").hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def found(devices: list[Device], want: dict, variables: dict[str, str] = NO_VARIABLES) -> tuple[str, str]:
    match = attribute(devices, want, variables)
    assert isinstance(match, Match), match
    return match.device.id, match.by


def refused(devices: list[Device], want: dict, variables: dict[str, str] = NO_VARIABLES) -> str:
    match = attribute(devices, want, variables)
    assert isinstance(match, Absent), match
    assert len(match.reason.split()) > 5  # a sentence
    return match.reason


TWO = [nvidia(0, H100, 0x1B), nvidia(1, H100_B, 0x43)]
MI300 = [amd(0, {"67c63ac3c3c637f9"}, 0x0C, hip=1), amd(1, {"68c63ac3c3c637f9"}, 0x22, hip=0)]
CPX = [amd(i, {f"{i:02x}c63ac3c3c637f9"}, 0x0C, i, hip=i) for i in range(8)]
NAMELESS_CPX = [amd(i, set(), 0x0C, i, hip=i) for i in range(8)]
CPU = Device("cpu", 0, "cpu", "Linux")


# ---- names that tell a device


@pytest.mark.parametrize("uuid", [H100_B, H100_B.upper()])
def test_by_uuid(uuid):
    assert found(TWO, wanted("nvidia", uuid=uuid)) == ("nvidia:1", "UUID")


def test_by_uuid_where_the_address_agrees():
    assert found(TWO, wanted("nvidia", uuid=H100_B, pci="0000:43:00.0")) == ("nvidia:1", "UUID")


@pytest.mark.parametrize("pci", ["0000:43:00.0", "00000000:43:00.0", "0:43:0.0"])
def test_by_address_however_many_digits_the_domain_has(pci):
    assert found(TWO, wanted("nvidia", pci=pci)) == ("nvidia:1", "PCI address")


def test_the_domain_counts():
    devices = [nvidia(0, None, 0x1B), Device("nvidia", 1, "gpu", "NVML", pci=(1, 0x1B, 0, 0))]
    assert found(devices, wanted("nvidia", pci="0001:1b:00.0"))[0] == "nvidia:1"


def test_two_identical_cards_are_told_apart_by_their_uuids_only():
    twins = [nvidia(i, uuid, None) for i, uuid in enumerate((H100, H100_B))]
    assert [found(twins, wanted("nvidia", uuid=uuid))[0] for uuid in (H100_B, H100)] == ["nvidia:1", "nvidia:0"]
    refused(twins, wanted("nvidia"))


def test_hip_writes_its_uuid_in_ascii_hex():
    """The 16 bytes are digits: torch shows 36376336-... for what AMD SMI calls 67c6..."""
    assert hip_uuid("67c63ac3c3c637f9").startswith("36376336-3361-")
    assert spellings(hip_uuid("67c63ac3c3c637f9")) >= {"67c63ac3c3c637f9"}
    for device in MI300:
        (digits,) = device.uuids
        assert found(MI300, wanted("amd", uuid=hip_uuid(digits))) == (device.id, "UUID")
        assert found(MI300, wanted("amd", uuid=hip_uuid(digits.upper()))) == (device.id, "UUID")


def test_uuid_xx_names_no_device():
    """Radeons without a unique id all say "XX"."""
    radeons = [amd(0, set(), 0x03, hip=0), amd(1, set(), 0x83, hip=1)]
    assert "xx" not in {name[:2].lower() for name in spellings(hip_uuid("XX")) if len(name) == 16}
    assert found(radeons, wanted("amd", uuid=hip_uuid("XX"), pci="0000:83:00.0")) == ("amd:1", "PCI address")
    assert "no device has its UUID or PCI address" in refused(radeons, wanted("amd", uuid=hip_uuid("XX")))


@given(uuid=st.text(max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_text_in_the_place_of_a_uuid_raises(uuid):
    assert all(isinstance(name, str) for name in spellings(uuid))
    assert isinstance(attribute(MI300, wanted("amd", uuid=uuid), NO_VARIABLES), (Absent, Match))


@pytest.mark.parametrize("pci", ["", "1b", "0000:1b", "zz:1b:00.0", "0000:1b:00", "0000:1b:00.0.0"])
def test_an_address_that_is_none_raises_nothing(pci):
    assert isinstance(attribute(TWO, wanted("nvidia", pci=pci), NO_VARIABLES), (Absent, Match))


# ---- parts of a GPU


def test_partitions_that_share_an_address_are_told_apart_by_uuid():
    for device in CPX:
        (digits,) = device.uuids
        want = wanted("amd", uuid=hip_uuid(digits), pci="0000:0c:00.0", index=0)  # torch's address has no function
        assert found(CPX, want) == (device.id, "UUID")


def test_partitions_without_uuids_are_told_apart_by_hip_index_where_nothing_shifts_it():
    want = wanted("amd", uuid=hip_uuid("XX"), pci="0000:0c:00.0", index=5)
    assert found(NAMELESS_CPX, want) == ("amd:5", "PCI address and HIP index")
    for name in VISIBILITY:
        said = refused(NAMELESS_CPX, want, {name: "0,1,2,3,4,5"})
        assert name in said and "8 devices share its PCI address" in said


def test_hip_index_alone_is_no_identity():
    """Not even without visibility variables: an address must narrow it down first."""
    refused(MI300, wanted("amd", index=0))
    refused(NAMELESS_CPX, wanted("amd", pci="0000:99:00.0", index=5))


def test_mig_instance_is_its_whole_gpu():
    mig = "3a000000-1111-2222-3333-444455556666"
    whole = Device("nvidia", 0, "gpu", "NVML", uuids=frozenset([H100, mig]), pci=(0, 0x1B, 0, 0))
    for uuid in (mig, H100):
        assert found([whole, TWO[1]], wanted("nvidia", uuid=uuid, pci="0000:1b:00.0")) == ("nvidia:0", "UUID")


# ---- what never decides


@pytest.mark.parametrize("variables", [
    {}, {"CUDA_VISIBLE_DEVICES": "1"}, {"HIP_VISIBLE_DEVICES": "1,0"}, {"ROCR_VISIBLE_DEVICES": "1"},
    {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}, {"GPU_DEVICE_ORDINAL": "1"},
    {"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "MIG-3a000000"}, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"},
])  # fmt: skip
@pytest.mark.parametrize("index", [0, 1, 7])
def test_torch_index_and_visibility_variables_never_shift_the_answer(variables, index):
    """Other tools take torch's index for the library's, or count through these variables and read the wrong GPU."""
    for device in MI300:
        (digits,) = device.uuids
        address = f"0000:{device.pci[1]:02x}:00.0"
        for want in ({"uuid": hip_uuid(digits)}, {"pci": address}, {"uuid": hip_uuid(digits), "pci": address}):
            assert found(MI300, wanted("amd", index=index, **want), variables)[0] == device.id
    for device in TWO:
        (uuid,) = device.uuids
        assert found(TWO, wanted("nvidia", index=index, uuid=uuid), variables)[0] == device.id


def test_the_order_of_the_library_never_shifts_the_answer():
    want = wanted("nvidia", uuid=H100_B, pci="0000:43:00.0")
    assert attribute(TWO, want, {}).device is attribute(TWO[::-1], want, {}).device


def test_the_other_vendor_s_gpu_is_no_candidate():
    """Even at the same address, as a virtual machine may show it."""
    both = [nvidia(0, H100, 0x0C), amd(0, {"67c63ac3c3c637f9"}, 0x0C)]
    assert found(both, wanted("amd", pci="0000:0c:00.0"))[0] == "amd:0"
    assert "no amd GPU is listed by its vendor library" in refused([TWO[0], CPU], wanted("amd", pci="0000:1b:00.0"))


# ---- refusals


def test_uuid_and_address_that_contradict_each_other_are_refused():
    said = refused(TWO, wanted("nvidia", uuid=H100, pci="0000:43:00.0"))
    assert "UUID and PCI address belong to different devices" in said and "a GPU" in said and H100 in said


def test_without_any_identity_it_is_refused_even_where_there_is_one_gpu():
    """One visible GPU is not the one that computes: the other may be hidden from the vendor's library."""
    for devices in (TWO, TWO[:1], MI300[:1]):
        said = refused(devices, wanted(devices[0].vendor))
        assert "no identity" in said and "cannot identify the sensors" in said


def test_a_uuid_that_two_devices_bear_is_no_name():
    twins = [nvidia(0, H100, 0x1B), nvidia(1, H100, 0x43)]
    refused(twins, wanted("nvidia", uuid=H100))
    assert found(twins, wanted("nvidia", uuid=H100, pci="0000:43:00.0")) == ("nvidia:1", "UUID and PCI address")


def test_a_gpu_that_no_library_lists_is_refused():
    refused(TWO, wanted("nvidia", uuid="ffffffff-1111-2222-3333-444455556666", pci="0000:99:00.0"))
    assert "no nvidia GPU is listed" in refused([], wanted("nvidia", uuid=H100))


# ---- the CPU


def test_the_cpu_is_the_cpu():
    want = {"kind": "cpu", "vendor": None, "name": "CPU", "index": None, "uuid": None, "pci": None}
    assert found([*TWO, CPU], want) == ("cpu", "this machine has one CPU complex")
    assert "CPU" in refused(TWO, want)


# ---- with the libraries


MATCHES = """
from gpuprof.telemetry.attribute import Match, attribute
def uuid(digits):
    text = digits.encode().ljust(16, b"\\0").hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
def match(vendor, uuid, pci, index=0):
    want = {"kind": "gpu", "vendor": vendor, "name": "a GPU", "index": index, "uuid": uuid, "pci": pci}
    return attribute(telemetry.all_devices(backends), want, {})
def who(*arguments):
    found = match(*arguments)
    return [found.device.id, found.by] if isinstance(found, Match) else found.reason
"""


def test_four_gpus_as_torch_names_them(ask):
    code = (
        MATCHES
        + """
say([who("nvidia", "0b1b2c3d-1111-2222-3333-444455556666", "0000:43:00.0"), who("nvidia", None, "0000:1b:00.0"),
     who("amd", uuid("68c63ac3c3c637f9"), "0000:22:00.0"), who("amd", None, "0000:0c:00.0"),
     who("amd", "67ff74a1-0000-1000-80c6-3ac3c3c637f9", None)])
"""
    )  # the last one: as torch may say it once AMD SMI's own UUID and HIP's are the same
    assert ask("two_and_two", code) == [
        ["nvidia:1", "UUID"], ["nvidia:0", "PCI address"], ["amd:1", "UUID"], ["amd:0", "PCI address"],
        ["amd:0", "UUID"],
    ]  # fmt: skip


def test_mig_instances_as_torch_names_them(ask):
    code = (
        MATCHES
        + """
say([who("nvidia", name + "-1111-2222-3333-444455556666", "0000:1b:00.0") for name in ("1a000000", "3a000000")])
"""
    )
    assert ask("h100_mig", code) == [["nvidia:0", "UUID"]] * 2


def test_radeon_without_a_unique_id(ask):
    scenario = {"gpus": [{"like": "rx6900xt"}, {"like": "rx6900xt", "pci": "0000:83:00.0", "hip_id": 1}]}
    code = (
        MATCHES
        + """
say([who("amd", uuid("XX"), "0000:83:00.0"), who("amd", uuid("XX"), "0000:03:00.0"), who("amd", uuid("XX"), None)])
"""
    )
    second, first, none = ask(scenario, code)
    assert (second, first) == (["amd:1", "PCI address"], ["amd:0", "PCI address"])
    assert isinstance(none, str)


def test_fifth_partition_reads_the_package_s_power_that_the_list_counts_once(ask):
    code = (
        MATCHES
        + """
one = match("amd", uuid("05c63ac3c3c637f9"), "0000:0c:00.0", 5)
alone, attributed = one.device, one.device.attributed()
watts = [signals(g)["power_instant_w"][0] for g in gpus]
say([alone.id, one.by, attributed.id, signals(alone)["power_instant_w"][:2], signals(attributed), watts,
     [attributed.power.scope, attributed.power.shared_by], attributed.energy_j() == gpus[0].energy_j(),
     attributed.identity()["pci_bus_id"].value])
"""
    )
    who, by, again, alone, attributed, watts, scope, same_counter, pci = ask("mi300x_cpx", code)
    assert (who, by, again, pci) == ("amd:5", "UUID", "amd:5", "0000:0c:00.5")
    assert alone == [None, "unsupported"]
    assert attributed["power_instant_w"][0] == 740 and attributed["energy_j"][1] == "ok" and same_counter
    assert attributed["temperature_hotspot_c"][:2] == [
        None,
        "unsupported",
    ]  # not its neighbour's
    assert sum(w for w in watts if w is not None) == 740
    assert scope == ["socket, shared by 8 devices", 8]


def test_either_die_of_an_mi250_reads_the_power_of_both(ask):
    code = (
        MATCHES
        + """
rows = []
for digits, pci in (("d111223344556677", "0000:c1:00.0"), ("d211223344556677", "0000:c6:00.0")):
    one = match("amd", uuid(digits), pci).device.attributed()
    found = signals(one)
    rows.append([one.id, one.power.scope, found["power_average_w"][0], found["energy_j"][0]])
say(rows)
"""
    )
    first, second = ask("mi250x", code)
    assert first[0] == "amd:0" and second[0] == "amd:1"
    assert first[1:] == second[1:] and first[1] == "socket, shared by 2 devices" and first[2] == 540


def test_package_of_which_nobody_reports_the_power_says_so(ask):
    silent = {"power": None, "sensor": None, "counter": None}
    scenario = {"gpus": [{"like": "mi250x", **silent}, {"like": "mi250x", **silent, "pci": "0000:c6:00.0", "hip_id": 1,
                                                        "hip_uuid": "GPU-d211223344556677"}]}  # fmt: skip
    code = "say([signals(g.attributed()) for g in gpus])"
    for said in ask(scenario, code):
        for key in ("power_instant_w", "power_average_w", "energy_j"):
            assert said[key][:2] == [None, "unsupported"] and said[key][2]
        assert said["temperature_core_c"][0] == 44


def test_a_device_that_shares_nothing_is_itself(ask):
    assert ask("two_and_two", "say([g.attributed() is g for g in gpus])") == [True] * 4
