"""What each function of the two libraries returns for a GPU of a scenario: the keys and values that simcore.h reads.

None means "not supported". After a dot, a key goes on with an argument of the function or a field of its struct.
"""

from __future__ import annotations

from typing import Any

MIB = 1 << 20
MS_PER_S, NS_PER_S = 1e3, 1e9
GT_PER_S = {None: None, 1: 2.5, 2: 5.0, 3: 8.0, 4: 16.0, 5: 32.0}  # by PCIe generation
PERF_LEVELS = {None: None, "auto": 0, "low": 1, "high": 2}  # amdsmi_dev_perf_level_t
NO_POWER = {False: 0xFFFF, True: 0xFFFFFFFF}  # what amdsmi_get_power_info says for "none": the library's habit changed


def written(value: Any) -> str:
    """A value as the C code reads it."""
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "@max" if value == "max" else str(int(value) if isinstance(value, bool) else value)


def system(vendor: str, facts: dict) -> dict[str, Any]:
    if vendor == "amd":
        return {
            f"amdsmi_get_lib_version.{part}": number
            for part, number in zip(("major", "minor", "release"), facts["amd_library"], strict=True)
        } | {"amdsmi_get_lib_version.build": "simulated"}
    return {
        "nvmlSystemGetDriverVersion": facts["nvidia_driver"],
        "nvmlSystemGetNVMLVersion": facts["nvml"],
        "nvmlSystemGetCudaDriverVersion": facts["cuda_driver"],
        "nvmlSystemGetCudaDriverVersion_v2": facts["cuda_driver"],
    }


class Sections(dict):
    """A GPU of which a section that is null reads as an empty one."""

    def __getitem__(self, key: str) -> dict:
        return super().__getitem__(key) or {}


def _line(value: Any) -> Any:
    """A constant, or [start, slope per second]."""
    return f"@line {value[0]} {value[1]}" if isinstance(value, list) else value


def _rate(share: float | None, per_s: float) -> str | None:
    return None if share is None else f"@line 0 {share * per_s!r}"


def _scaled(value: Any, factor: float) -> Any:
    return value if value in (None, "max") else round(value * factor)


def _readings(gpu: dict, per_w: float) -> tuple[str | None, str | None]:
    """(instantaneous, averaged) power, None for the one that this GPU does not have."""
    if gpu["power"] and gpu["power"]["kind"] == "shown":
        shown = (gpu["power"][f"{name}_w"] for name in ("instant", "average"))
        return tuple(None if w is None else str(round(w * per_w)) for w in shown)
    sensor = Sections(gpu)["sensor"] if gpu["power"] else {}
    return (
        f"@instant {per_w}" if sensor.get("window_s") else None,
        f"@average {per_w}" if sensor.get("average_window_s") else None,
    )


def _nvidia(gpu: dict, index: int) -> dict[str, Any]:
    of = Sections(gpu)
    temperature_c, clock_mhz, pcie, ecc, sensor = (
        of[name] for name in ("temperature_c", "clock_mhz", "pcie", "ecc", "sensor")
    )
    limit_mw = {name: _scaled(w, 1e3) for name, w in of["power_limit_w"].items()}
    held_ns = {name: _rate(share, NS_PER_S) for name, share in of["throttle_share"].items()}
    instant_mw, average_mw = _readings(gpu, 1e3)
    energy_mj = "@energy 1000" if gpu["counter"] else None
    scope = f".{sensor['scope']}" if sensor.get("scope") else ""
    has_fields = sensor.get("fields")
    fields = {
        "74": held_ns.get("power"),
        "76": held_ns.get("sync_boost"),
        "77": held_ns.get("board_limit"),
        "78": held_ns.get("low_utilisation"),
        "82": _line(temperature_c.get("memory")),
        "83": energy_mj,
        **dict.fromkeys(("185.1", "186.1"), _scaled((gpu["power"] or {}).get("module_w"), 1e3)),
        f"185{scope}": average_mw if has_fields else None,
        f"186{scope}": instant_mw if has_fields else None,
        "187": limit_mw.get("min"),
        "188": limit_mw.get("max"),
        "189": limit_mw.get("default"),
        "190": limit_mw.get("current"),
        "191": energy_mj,
        "192": limit_mw.get("current"),
        "197": _rate(of["pcie_bytes_per_s"].get("tx"), 1),
        "198": _rate(of["pcie_bytes_per_s"].get("rx"), 1),
        "269": held_ns.get("sw_thermal"),
        "270": held_ns.get("hw_thermal"),
        "271": held_ns.get("power_brake"),
    }
    pairs = {
        "CudaComputeCapability": gpu["compute_capability"],
        "MigMode": None if gpu["mig"] is None else [bool(gpu["mig"])] * 2,
        "EccMode": [ecc["enabled"]] * 2 if "enabled" in ecc else None,
        "PowerManagementLimitConstraints": [limit_mw["min"], limit_mw["max"]] if limit_mw else None,
    }
    device = {
        "Name": gpu["name"],
        "UUID": gpu["uuid"],
        "Serial": gpu["serial"],
        "VbiosVersion": gpu["vbios"],
        "Index": index,
        "PciInfo_v3": gpu["pci"],
        "Architecture": gpu["architecture"],
        "MaxMigDeviceCount": 0 if gpu["mig"] is None else 7,
        "UtilizationRates.gpu": of["utilisation_percent"].get("gpu"),
        "UtilizationRates.memory": of["utilisation_percent"].get("memory"),
        "PowerUsage": average_mw if sensor.get("usage_is_average") else instant_mw,
        "TotalEnergyConsumption": energy_mj,
        "EnforcedPowerLimit": limit_mw.get("current"),
        "PowerManagementLimit": limit_mw.get("current"),
        "PowerManagementDefaultLimit": limit_mw.get("default"),
        "Temperature.0": _line(temperature_c.get("core")),
        "CurrentClocksEventReasons": gpu["throttle_bits"],
        "CurrentClocksThrottleReasons": gpu["throttle_bits"],
        "NumFans": None if gpu["fan_percent"] is None else 1,
        "FanSpeed_v2.0": gpu["fan_percent"],
        "CurrPcieLinkGeneration": pcie.get("gen"),
        "CurrPcieLinkWidth": pcie.get("width"),
        "MaxPcieLinkGeneration": pcie.get("gen_max"),
        "MaxPcieLinkWidth": pcie.get("width_max"),
        "PerformanceState": gpu["performance_state"],
        "PersistenceMode": gpu["persistence_mode"],
        "ComputeRunningProcesses_v3": None if gpu["processes"] is None else len(gpu["processes"]),
    }
    device |= {f"{name}.{i}": pair and pair[i] for name, pair in pairs.items() for i in (0, 1)}
    for number, domain in enumerate(("core", "core", "memory")):  # graphics, SM, memory
        device[f"ClockInfo.{number}"] = clock_mhz.get(domain)
        device[f"MaxClockInfo.{number}"] = clock_mhz.get(f"{domain}_max")
    for counter in (0, 1):  # volatile, aggregate
        device[f"TotalEccErrors.0.{counter}"] = ecc.get("corrected")
        device[f"TotalEccErrors.1.{counter}"] = ecc.get("uncorrected")
    result = {f"nvmlDeviceGet{name}": value for name, value in device.items()}
    result |= {f"field.{number}": value for number, value in fields.items()}
    result |= {f"memory.{name}": size for name, size in of["memory_bytes"].items()}
    for i, process in enumerate(gpu["processes"] or ()):
        result |= {f"process.{i}.pid": process["pid"], f"process.{i}.memory": process["memory_bytes"]}
    return result


def mig_device(instance: dict, parent: int) -> dict[str, Any]:
    """A MIG device has a name, a UUID and memory of its own; power, clocks and utilisation are its parent's alone."""
    return {
        "parent": parent,
        "nvmlDeviceGetName": instance["name"],
        "nvmlDeviceGetUUID": instance["uuid"],
        "memory.total": instance["memory_bytes"],
        "memory.used": 0,
    }


def _amd(gpu: dict, index: int) -> dict[str, Any]:
    of = Sections(gpu)
    temperature_c, clock_mhz, pcie, ecc, use = (
        of[name] for name in ("temperature_c", "clock_mhz", "pcie", "ecc", "utilisation_percent")
    )
    memory_bytes, limit_uw = of["memory_bytes"], {k: _scaled(w, 1e6) for k, w in of["power_limit_w"].items()}
    held_ms = {name: _rate(share, MS_PER_S) for name, share in of["throttle_share"].items()}
    instant_w, average_w = _readings(gpu, 1)
    energy = "@energy 65536" if gpu["counter"] else None  # in 2^-16 J
    # Of a snapshot that is given again and again, the clock stands as well, a second after the origin.
    clock = f"@line {gpu['origin_ns']} {NS_PER_S}" if not gpu["snapshot_stuck"] else round(gpu["origin_ns"] + NS_PER_S)
    no_power = NO_POWER[gpu["uint32_max_power"]]
    speed, speed_max = GT_PER_S[pcie.get("gen")], GT_PER_S[pcie.get("gen_max")]
    gfx = gpu["target_graphics_version"]
    address, function = gpu["pci"].split(".")
    domain, bus, device = (int(part, 16) for part in address.split(":"))
    structs = {
        "gpu_asic_info": {
            "market_name": gpu["name"],
            "vendor_name": "Advanced Micro Devices Inc. [AMD/ATI]",
            "vendor_id": 0x1002,
            "device_id": gpu["device_id"],
            "asic_serial": gpu["asic_serial"],
            "oam_id": gpu["oam_id"],
            "num_of_compute_units": gpu["compute_units"],
            "target_graphics_version": gfx and int(gfx.removeprefix("gfx"), 16),
        },
        "gpu_board_info": {
            "product_name": gpu["product_name"],
            "product_serial": gpu["product_serial"],
            "manufacturer_name": "AMD",
        },
        "gpu_driver_info": {"driver_version": gpu["driver"], "driver_name": "amdgpu"} if gpu["driver"] else {},
        "gpu_vbios_info": {"version": gpu["vbios"], "part_number": gpu["vbios"]} if gpu["vbios"] else {},
        "gpu_enumeration_info": {
            "drm_render": 128 + index,
            "drm_card": index,
            "hsa_id": index + 1,
            "hip_id": gpu["hip_id"],
            "hip_uuid": gpu["hip_uuid"],
        },
        "gpu_kfd_info": {"kfd_id": 1000 + index, "node_id": index + 1, "current_partition_id": gpu["partition_id"]},
        "gpu_vram_usage": {f"vram_{name}": memory_bytes[name] // MIB for name in ("total", "used") if memory_bytes},
        "gpu_activity": {
            "gfx_activity": use.get("gpu", 0xFFFF),
            "umc_activity": use.get("memory", 0xFFFF),
            "mm_activity": 0xFFFF,
        },
        "gpu_total_ecc_count": {
            "correctable_count": ecc.get("corrected"),
            "uncorrectable_count": ecc.get("uncorrected"),
        },
        "power_info": {
            "current_socket_power": instant_w or no_power,
            "average_socket_power": average_w or no_power,
            "socket_power": instant_w or average_w or no_power,
            "gfx_voltage": 0xFFFF,
            "soc_voltage": 0xFFFF,
            "mem_voltage": 0xFFFF,
            "power_limit": limit_uw.get("current", no_power),
        },
        "power_cap_info.0": {
            "power_cap": limit_uw.get("current"),
            "default_power_cap": limit_uw.get("default"),
            "min_power_cap": limit_uw.get("min"),
            "max_power_cap": limit_uw.get("max"),
        },
        "clock_info.0": {
            "clk": clock_mhz.get("core"),
            "cur_clk": clock_mhz.get("core"),
            "max_clk": clock_mhz.get("core_max"),
        },
        "clock_info.4": {
            "clk": clock_mhz.get("memory"),
            "cur_clk": clock_mhz.get("memory"),
            "max_clk": clock_mhz.get("memory_max"),
        },
        "pcie_info": {  # in MT/s; gpu_metrics says 0.1 GT/s
            "pcie_static.max_pcie_width": pcie.get("width_max"),
            "pcie_static.max_pcie_speed": _scaled(speed_max, 1000),
            "pcie_static.pcie_interface_version": pcie.get("gen_max"),
            "pcie_metric.pcie_width": pcie.get("width"),
            "pcie_metric.pcie_speed": _scaled(speed, 1000),
        },
        "violation_status": {
            "acc_counter": _rate(1, MS_PER_S) if held_ms else None,
            "acc_ppt_pwr": held_ms.get("ppt"),
            "acc_socket_thrm": held_ms.get("socket_thm"),
            "acc_prochot_thrm": held_ms.get("prochot"),
            "acc_vr_thrm": held_ms.get("vr_thm"),
            "acc_hbm_thrm": held_ms.get("hbm_thm"),
        },
        "gpu_metrics_info": {  # a field that is left out keeps all ones, which says "none"
            "common_header.structure_size": 264,  # of the driver's own table, not of the struct that it is copied into
            "common_header.format_revision": 1,
            "common_header.content_revision": gpu["metrics_revision"],
            "temperature_edge": _line(temperature_c.get("edge")),
            "temperature_hotspot": _line(temperature_c.get("hotspot")),
            "temperature_mem": _line(temperature_c.get("memory")),
            "average_gfx_activity": use.get("gpu"),
            "average_umc_activity": use.get("memory"),
            "gfx_activity_acc": _rate(use.get("gpu"), MS_PER_S),
            "mem_activity_acc": _rate(use.get("memory"), MS_PER_S),
            "current_socket_power": instant_w,
            "average_socket_power": average_w,
            "energy_accumulator": energy,
            "system_clock_counter": clock,
            "current_gfxclk": clock_mhz.get("core"),
            "current_gfxclks": [clock_mhz["core"]] * gpu["clock_domains"] if clock_mhz.get("core") else None,
            "current_uclk": clock_mhz.get("memory"),
            "throttle_status": gpu["throttle_bits"],
            "indep_throttle_status": gpu["throttle_bits"],
            "current_fan_speed": gpu["fan_rpm"],
            "pcie_link_width": pcie.get("width"),
            "pcie_link_speed": _scaled(speed, 10),
            "accumulation_counter": _rate(1, MS_PER_S) if held_ms else None,
            **{f"{name}_residency_acc": ms for name, ms in held_ms.items()},
        },
    }
    plain = {
        "gpu_device_bdf.value": domain << 16 | bus << 8 | device << 3 | int(function),
        "gpu_device_uuid": gpu["uuid"],
        "gpu_compute_partition": gpu["compute_partition"],
        "gpu_memory_total.0.value": memory_bytes.get("total"),  # 0: VRAM
        "gpu_memory_usage.0.value": memory_bytes.get("used"),
        "temp_metric.0.0.value": _line(temperature_c.get("edge")),  # sensor, 0: the current value
        "temp_metric.1.0.value": _line(temperature_c.get("hotspot")),
        "temp_metric.2.0.value": _line(temperature_c.get("memory")),
        "temp_metric.1.5.value": temperature_c.get("hotspot_limit"),  # the critical value
        "energy_count": energy,
        "energy_count.timestamp": clock,
        "gpu_fan_rpms.0.value": gpu["fan_rpm"],
        "gpu_fan_speed.0.value": _scaled(gpu["fan_rpm"], 255 / gpu["fan_rpm_max"]),  # of 255
        "gpu_fan_speed_max.0.value": None if gpu["fan_rpm"] is None else 255,
        "gpu_ecc_enabled.value": int(ecc["enabled"]) if ecc else None,  # a bit for each block
        "gpu_perf_level.value": PERF_LEVELS[gpu["perf_level"]],
        "gpu_process_list": None if gpu["processes"] is None else len(gpu["processes"]),
    }
    for i, process in enumerate(gpu["processes"] or ()):
        size = process["memory_bytes"]
        structs[f"gpu_process_list.{i}"] = {"pid": process["pid"], "mem": size, "memory_usage.vram_mem": size}
    flat = {f"{function}.{field}": value for function, fields in structs.items() for field, value in fields.items()}
    return {f"amdsmi_get_{name}": value for name, value in (flat | plain).items()}


TABLES = {"nvidia": _nvidia, "amd": _amd}
