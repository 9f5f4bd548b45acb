#include "builder/export/export.h"

int build_export(const struct build_export *x, struct error *err)
{
    switch (x->output->type) {
    case BUILD_OUTPUT_STORE:
        return 0;
    case BUILD_OUTPUT_REGISTRY:
        return build_export_registry(x, err);
    case BUILD_OUTPUT_OCI:
    case BUILD_OUTPUT_DOCKER:
        return build_export_archive(x, err);
    case BUILD_OUTPUT_LOCAL:
        return build_export_local(x, err);
    case BUILD_OUTPUT_TAR:
        return build_export_tar(x, err);
    }
    return error_set(err, ERROR_INVALID, "unknown output type");
}
