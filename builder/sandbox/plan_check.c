#include "builder/sandbox/child.h"

#include <linux/filter.h>

static bool text_valid(const char *plan, size_t size, uint32_t offset)
{
    if (offset >= size)
        return false;
    while (offset < size && plan[offset])
        offset++;
    return offset < size;
}

static bool bytes_valid(size_t size, uint32_t offset, uint64_t count)
{
    return offset <= size && count <= size - offset;
}

/* A table of texts that ends with a zero. */
static bool table_valid(const char *plan, size_t size, uint32_t offset, uint32_t count)
{
    if (offset % sizeof(uint64_t) != 0 ||
        !bytes_valid(size, offset, ((uint64_t)count + 1) * sizeof(uint64_t)))
        return false;
    const uint64_t *table = (const uint64_t *)(const void *)(plan + offset);
    for (uint32_t i = 0; i < count; i++)
        if (table[i] >= size || !text_valid(plan, size, (uint32_t)table[i]))
            return false;
    return table[count] == 0;
}

static bool slots_valid(const struct sandbox_op *op, size_t slot_count)
{
    const uint64_t more = op->code == OP_OVERLAY || op->code == OP_CLASSIC_OVERLAY
                              ? (uint64_t)op->count + 2
                          : op->code == OP_REOPEN ? op->count
                                                  : 1;

    return op->slot == -1 || (op->slot >= 0 && (uint64_t)op->slot + more <= slot_count);
}

static bool needs_slot(enum sandbox_opcode code)
{
    return (code >= OP_OVERLAY && code <= OP_ROOT && code != OP_UNSHARE) ||
           code == OP_ATTACH || code == OP_CGROUP || code == OP_NOTIFY || code == OP_TRACER;
}

static bool data_valid(const char *plan, size_t size, const struct sandbox_op *op)
{
    if (op->code == OP_EXEC)
        return op->count > 0 && table_valid(plan, size, op->text, op->count) &&
               table_valid(plan, size, op->data, op->number);
    if (!text_valid(plan, size, op->text))
        return false;
    if (op->code == OP_FILE)
        return bytes_valid(size, op->data, op->count);
    if (op->code == OP_USER)
        return bytes_valid(size, op->data, (uint64_t)op->count * sizeof(gid_t));
    if (op->code == OP_SECCOMP || op->code == OP_NOTIFY)
        return op->count <= BPF_MAXINSNS &&
               bytes_valid(size, op->data,
                           (uint64_t)op->count * sizeof(struct sock_filter));
    return text_valid(plan, size, op->data);
}

bool sandbox_plan_valid(const char *plan, size_t size, uint32_t op_count, size_t slot_count)
{
    const struct sandbox_op *ops = (const struct sandbox_op *)(const void *)plan;

    if (!bytes_valid(size, 0, (uint64_t)op_count * sizeof *ops))
        return false;
    for (uint32_t i = 0; i < op_count; i++)
        if (!slots_valid(&ops[i], slot_count) ||
            (needs_slot((enum sandbox_opcode)ops[i].code) && ops[i].slot < 0) ||
            !text_valid(plan, size, ops[i].target) || !data_valid(plan, size, &ops[i]))
            return false;
    return op_count > 0 && ops[op_count - 1].code == OP_EXEC;
}
