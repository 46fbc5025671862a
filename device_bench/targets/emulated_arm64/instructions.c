/* Counts the instructions that an emulated program executes; a plugin of qemu-user 7.2 (plugin interface version 1).
 *
 * The program marks a place by a system call that the kernel refuses and that has no other effect:
 * getpriority(MARK, tag). Every mark adds one line to the file of the argument out=FILE:
 *
 *     TAG INSTRUCTIONS OTHERS
 *
 * the instructions that the marking thread has executed since its start, and those of all other threads: what they
 * execute between two marks is not in the count, so the reader refuses it. Instructions are added block by block, when
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
enum callback_flags { NO_REGISTERS };
typedef void (*block_translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*block_entered)(unsigned int, void *);
typedef void (*system_called)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                              uint64_t, uint64_t, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, block_entered, enum callback_flags, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, block_translated);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, system_called);

EXPORT int qemu_plugin_version = 1;

#define MOST_THREADS 1024
static uint64_t executed[MOST_THREADS]; /* every thread writes its own */
static FILE *marks;

static void on_entry(unsigned int thread, void *instructions)
{
    executed[thread % MOST_THREADS] += (uintptr_t)instructions;
}

static void on_block(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_entry, NO_REGISTERS, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void on_system_call(plugin_id id, unsigned int thread, int64_t number, uint64_t which, uint64_t tag, uint64_t a3,
                           uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != GETPRIORITY || (uint32_t)which != MARK)
        return;
    uint64_t own = executed[thread % MOST_THREADS], others = 0;
    for (int i = 0; i < MOST_THREADS; i++)
        others += executed[i];
    fprintf(marks, "%" PRIu32 " %" PRIu64 " %" PRIu64 "\n", (uint32_t)tag, own, others - own);
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
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    return 0;
}
