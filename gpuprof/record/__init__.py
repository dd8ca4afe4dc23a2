"""TODO gpuprof.record"""
