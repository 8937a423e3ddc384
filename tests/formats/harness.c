/* Runs the header HEADER whose names begin with NAME: sequences of numbers come in by stdin, outputs go out by stdout.
   stdin: the number of sequences (int), then of each its length (int) and its steps. With malloc and its kin wrapped,
   the number of calls goes to stderr. */
#include HEADER
#include <stdio.h>
#include <stdlib.h>

#define JOINED(a, b) a##b
#define WITH(a, b) JOINED(a, b)
#define CALL(what) WITH(NAME, what)

static int calls = 0;
static int counting = 0;

#ifdef __cplusplus
extern "C" {
#endif
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size) { calls += counting; return __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { calls += counting; return __real_calloc(count, size); }
#ifdef __cplusplus
}
#endif

int main(void)
{
    static CALL(_state) state;
    static REAL x[INPUTS], y[OUTPUTS];
    int sequences = 0, length = 0;
    free(malloc(1 + (size_t)(fread(&sequences, sizeof sequences, 1, stdin) != 1)));
    for (int n = 0; n < sequences; ++n) {
        if (fread(&length, sizeof length, 1, stdin) != 1) return 1;
        CALL(_reset)(&state);
        for (int t = 0; t < length; ++t) {
            if (fread(x, sizeof x, 1, stdin) != 1) return 1;
            counting = 1;
            CALL(_step)(&state, x, y);
            counting = 0;
            if (fwrite(y, sizeof y, 1, stdout) != 1) return 1;
        }
    }
    fprintf(stderr, "%d\n", calls);
    return 0;
}
