"""TODO gpuprof.report.charts"""
