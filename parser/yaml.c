#include "parser/yaml.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/module.h"
#include "parser/yaml_module.h"

struct doc *yaml_doc_parse(struct view text, struct error *err)
{
    CLEANUP(buf_release) struct buf json = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct parser_yaml_module *module =
        base_module_load(PARSER_YAML_MODULE_FILE, PARSER_YAML_MODULE_SYMBOL,
                         PARSER_YAML_MODULE_VERSION, err);

    if (!module || module->to_json(text, &json, err) < 0)
        return NULL;
    return doc_parse(buf_view(&json), err);
}
