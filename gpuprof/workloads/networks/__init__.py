"""TODO gpuprof.workloads.networks"""
