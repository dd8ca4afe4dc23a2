"""One library a file: NVML, AMD SMI, and Linux's own files for the CPU. `telemetry.VENDORS` lists them."""
