/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef STANDARD_FILES_H
#define STANDARD_FILES_H

/**
 * Open /dev/null as each of stdin, stdout and stderr that whoever started the program left closed.
 *
 * Else the next file opened takes its number, and what is printed goes into it: into the segment, if
 * that is the one. Call it before any other file is opened.
 *
 * @param flags  O_RDWR: what is printed vanishes; O_RDONLY: printing fails with EBADF, as to a closed
 *   one.
 */
void standard_files_occupy(int flags);

#endif /* STANDARD_FILES_H */
