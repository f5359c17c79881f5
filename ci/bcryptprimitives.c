/*
 * Wine before 9 has no bcryptprimitives.dll, and every Rust program for Windows imports ProcessPrng from it: without
 * this stand-in they end at start, silently, with code 53. Real Windows has the real library; this one stays in Wine.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length); /* RtlGenRandom, in advapi32 */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    const SIZE_T largest = 1u << 30; /* RtlGenRandom counts in 32 bits */

    for (SIZE_T done = 0; done < length;) {
        SIZE_T part = length - done < largest ? length - done : largest;
        if (!SystemFunction036(buffer + done, (ULONG)part))
            return FALSE;
        done += part;
    }
    return TRUE;
}
