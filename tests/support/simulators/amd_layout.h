/* Where a value of the script goes in a struct of the amdsmi wheel: tables written by amd_layout.py. */
typedef struct { const char *name; unsigned offset, size, count; char kind; } Field;
typedef struct { const char *function; const Field *fields; unsigned size, count, fill; } Shape;
int answer_shape(void *gpu, const Shape *shape, void *out, int selectors, unsigned first, unsigned second);
extern const Shape shape_amdsmi_get_lib_version, shape_amdsmi_get_gpu_process_list, shape_amdsmi_get_violation_status;
