// SPDX-License-Identifier: GPL-2.0-or-later
/* How the library talks to its caller: errors, messages, paths. */
#include "config.h"

#include "util.h"

int fr_fail(struct fr_error *e, enum fr_fault fault, int err, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		e->err = err;
		e->fault = fault;
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	return -err;
}

int fr_fail_context(struct fr_error *e, const char *fmt, ...)
{
	char before[sizeof(e->text)], text[sizeof(e->text)];
	va_list ap;
	int n;

	if (!e)
		return -EIO; /* the caller gave up the errno with the error object */
	va_start(ap, fmt);
	vsnprintf(before, sizeof(before), fmt, ap);
	va_end(ap);
	n = snprintf(text, sizeof(text), "%s: %s", before, e->text);
	if (n > 0)
		memcpy(e->text, text, sizeof(text));
	return -e->err;
}

void fr_log(const struct fr_ctx *ctx, enum fr_log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!ctx || !ctx->log)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctx->log(ctx->data, level, text);
}

void fr_stage(const struct fr_ctx *ctx, const char *name)
{
	if (ctx && ctx->stage)
		ctx->stage(ctx->data, name);
}

char *fr_path(const struct fr_ctx *ctx, const char *fmt, ...)
{
	_cleanup_free_ char *tail = NULL;
	char *path;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&tail, fmt, ap);
	va_end(ap);
	if (n < 0) {
		tail = NULL;
		return NULL;
	}
	if (asprintf(&path, "%s%s", ctx && ctx->root ? ctx->root : "", tail) < 0)
		return NULL;
	return path;
}
