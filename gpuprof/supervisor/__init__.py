"""TODO gpuprof.supervisor"""
