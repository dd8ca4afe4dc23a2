"""TODO gpuprof.report.forms"""
