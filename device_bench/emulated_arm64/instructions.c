/* Counts the instructions that an emulated program executes; a plugin of qemu-user 7.2 (plugin interface version 1).
 *
 * The program marks a place by a system call that the kernel refuses and that has no other effect:
 * getpriority(MARK, tag). Every mark adds one line to the file of the argument out=FILE:
 *
 *     TAG INSTRUCTIONS PROCESSORS
 *
 * the instructions of all threads since the start, and how many processors (threads) have been started so far: with
 * more than one the count is not exact, because the counter is not atomic. Instructions are added block by block, when
 * a block is entered; a system call ends its block, so a mark is exact.
 *
 * The interface's header is not in a Debian package, hence the prototypes.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define GETPRIORITY 141 /* on aarch64 */
#define MARK 0x65646765

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_info;
enum inline_operation { INLINE_ADD_U64 };
typedef void (*block_translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*processor_started)(plugin_id, unsigned int);
typedef void (*system_called)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                              uint64_t, uint64_t, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum inline_operation, void *, uint64_t);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, block_translated);
extern void qemu_plugin_register_vcpu_init_cb(plugin_id, processor_started);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, system_called);

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;
static unsigned int processors;
static FILE *marks;

static void on_block(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_processor(plugin_id id, unsigned int index)
{
    (void)id, (void)index;
    processors++;
}

static void on_system_call(plugin_id id, unsigned int index, int64_t number, uint64_t which, uint64_t tag, uint64_t a3,
                           uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)index, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != GETPRIORITY || (uint32_t)which != MARK)
        return;
    fprintf(marks, "%" PRIu32 " %" PRIu64 " %u\n", (uint32_t)tag, executed, processors);
    fflush(marks);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int count, char **arguments)
{
    (void)info;
    for (int i = 0; i < count; i++)
        if (strncmp(arguments[i], "out=", 4) == 0)
            marks = fopen(arguments[i] + 4, "w");
    if (marks == NULL) {
        fprintf(stderr, "instructions: give out=FILE, a file that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_init_cb(id, on_processor);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    return 0;
}
