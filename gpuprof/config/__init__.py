"""TODO gpuprof.config"""
