#include "registry/serve/http_module.h"

#include "base/module.h"

const struct serve_http_module *serve_http_module_load(struct error *err)
{
    return base_module_load(SERVE_HTTP_MODULE_FILE, SERVE_HTTP_MODULE_SYMBOL,
                            SERVE_HTTP_MODULE_VERSION, err);
}
