// libpq, loaded by the first connection that is opened: a program that talks to no server starts
// without it and the thirty libraries that it brings along.
//
// Memory:   once loaded it stays, as the libraries beneath it want it.
// Threads:  a table of constants.
// Errors:   server_state (there is no libpq, or one without a function that is needed).
#pragma once

#include <libpq-fe.h>

#include "base/result.h"

namespace haul::postgres {

inline constexpr const char* kLibPqName = "libpq.so.5";

// clang-format off
#define HAUL_LIBPQ_FUNCTIONS(X)                                                            \
  X(PQbackendPID) X(PQcancel) X(PQclear) X(PQconndefaults) X(PQconnectPoll)                \
  X(PQconnectStartParams) X(PQconnectdbParams) X(PQconninfoFree) X(PQconninfoParse)        \
  X(PQconsumeInput) X(PQerrorMessage) X(PQfinish) X(PQflush) X(PQfname) X(PQfreeCancel)    \
  X(PQfreemem) X(PQgetCancel) X(PQgetCopyData) X(PQgetResult) X(PQgetisnull)               \
  X(PQgetlength) X(PQgetvalue) X(PQhost) X(PQisBusy) X(PQnfields) X(PQntuples) X(PQport)   \
  X(PQputCopyData) X(PQputCopyEnd) X(PQresultErrorField) X(PQresultErrorMessage)           \
  X(PQresultStatus) X(PQsendQuery) X(PQsendQueryParams) X(PQserverVersion)                 \
  X(PQsetNoticeReceiver) X(PQsetSingleRowMode) X(PQsocket) X(PQstatus)
// clang-format on

// The functions by their own names: pq.PQstatus(connection).
struct LibPq {
#define HAUL_LIBPQ_MEMBER(name) decltype(&::name) name = nullptr;
  HAUL_LIBPQ_FUNCTIONS(HAUL_LIBPQ_MEMBER)
#undef HAUL_LIBPQ_MEMBER
};

Result<LibPq> load_libpq(const char* name = kLibPqName);

}  // namespace haul::postgres
