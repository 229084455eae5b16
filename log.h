/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LOG_H
#define LOG_H

#include <rte_log.h>

/** Log type of the forwarder: RTE_LOG(INFO, L2FWD, ...) starts a line with "L2FWD: ". */
#define RTE_LOGTYPE_L2FWD RTE_LOGTYPE_USER1

#endif /* LOG_H */
