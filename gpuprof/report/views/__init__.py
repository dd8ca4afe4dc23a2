"""TODO gpuprof.report.views"""
