#include "registry/http_module.h"

#include "base/module.h"

const struct registry_http_module *registry_http_module_load(struct error *err)
{
    return base_module_load(REGISTRY_HTTP_MODULE_FILE, REGISTRY_HTTP_MODULE_SYMBOL,
                            REGISTRY_HTTP_MODULE_VERSION, err);
}
