"""TODO gpuprof.telemetry.vendors"""
