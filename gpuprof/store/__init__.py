"""TODO gpuprof.store"""
