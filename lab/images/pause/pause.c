/* Holds a pod's namespaces open: sleeps, reaps orphans where pods share a PID namespace, and ends at SIGTERM or SIGINT. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number)
{
    (void)number;
    _exit(EXIT_SUCCESS);
}

static void reap(int number)
{
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

static int handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    return sigaction(number, &action, NULL);
}

int main(void)
{
    if (handle(SIGTERM, end, 0) || handle(SIGINT, end, 0) || handle(SIGCHLD, reap, SA_NOCLDSTOP))
        return EXIT_FAILURE;
    for (;;)
        pause();
}
