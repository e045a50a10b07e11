package video

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure an Error is. The codes are part of the wire
// contract: they stand in every problem+json answer and are the type of every
// failed activity.
type Code string

// The codes, in the order in which the HTTP statuses of the contract list them.
const (
	Invalid          Code = "invalid"           // 400: the request is wrong; sending it again can't help
	Unauthenticated  Code = "unauthenticated"   // 401: nobody is signed in
	Forbidden        Code = "forbidden"         // 403: signed in, but not allowed
	NotFound         Code = "not_found"         // 404: never existed, or is not visible to the caller
	Conflict         Code = "conflict"          // 409: not possible in the present state, or fenced by a later epoch
	Gone             Code = "gone"              // 410: existed and is no more, for good
	TooLarge         Code = "too_large"         // 413: over a limit
	UnsupportedMedia Code = "unsupported_media" // 415: not a video, or one that can't be processed
	RateLimited      Code = "rate_limited"      // 429: too many requests
	Unavailable      Code = "unavailable"       // 503: something we need is down; trying again later helps
	Internal         Code = "internal"          // 500: a fault of ours
)

// Codes lists every code, for tables that must have a row for each.
var Codes = []Code{
	Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Gone,
	TooLarge, UnsupportedMedia, RateLimited, Unavailable, Internal,
}

// Permanent reports whether trying the same thing again is pointless. A code that
// isn't known is not: what it means may be mended.
func (c Code) Permanent() bool {
	switch c {
	case Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Gone, TooLarge, UnsupportedMedia:
		return true
	}
	return false
}

// Error is a failure with a code from the place that knows what it means.
// Detail is a sentence that any user may read: no secrets, no addresses, no
// names. The cause, for logs only, is what Unwrap returns.
type Error struct {
	Code   Code
	Detail string
	// Place names what failed where several of a kind can: a store. Empty otherwise.
	Place string
	// Reason tells apart what one code covers, as `reason` of the contract; often empty.
	Reason string
	// RetryAt is the moment before which trying again is pointless, where that is known.
	RetryAt time.Time
	cause   error
}

// Reasons why a store doesn't let itself be purged, with the code Unavailable. They go to
// workflows and never into an answer.
const (
	ReasonObjectLock = "object_lock" // a retention, until RetryAt, or a legal hold of the store's own
	ReasonRefused    = "refused"     // it keeps something, though it can be reached
	ReasonThrottled  = "throttled"   // it asks for fewer requests
)

// Errorf makes an Error whose detail is safe to show to users.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// At returns a copy of e that names the place which failed.
func (e *Error) At(place string) *Error {
	with := *e
	with.Place = place
	return &with
}

// For returns a copy of e with a reason of the contract.
func (e *Error) For(reason string) *Error {
	with := *e
	with.Reason = reason
	return &with
}

// Because returns a copy of e that carries cause for the logs.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

// Error includes the cause: it is meant for logs. Users are shown Detail.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Detail)
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// PlaceOf returns the place that the first Error in err's tree names, if any.
func PlaceOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Place
	}
	return ""
}

// CodeOf returns the code of the first Error in err's tree, or Internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
