package objects

import (
	"context"
	"errors"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/reelflow/reelflow/video"
)

// fault turns what the SDK returned into the errors of Store; nil stays nil.
// This is the only place that reads S3 error codes for their meaning:
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func (s *S3) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return classify(s.name, errorCode(err), httpStatus(err)).Because(err)
}

// parentPruned is what versitygw answers to a put, with status 409, when the
// directory that it is to go into is removed meanwhile, because a deletion has
// emptied it. By its name the key could also be the prefix of another, for good;
// no key of ours is.
const parentPruned = "ExistingObjectIsDirectory"

// accessDenied is also what a store says of an object under a lock.
const accessDenied = "AccessDenied"

// classify says what an answer of a store means, and which store it was.
func classify(store, code string, status int) *video.Error {
	return meaning(store, code, status).At(store)
}

func meaning(store, code string, status int) *video.Error {
	switch {
	case isMissing(code):
		return video.Errorf(video.NotFound, "The store %q has no such object.", store)
	case isDamage(code):
		return video.Errorf(video.Unavailable, "The bytes did not reach the store %q unharmed.", store)
	case throttles[code]:
		return throttled(store)
	}
	switch code {
	case "NoSuchBucket":
		return video.Errorf(video.Unavailable, "The store %q has no such bucket. It must be made, or the settings mended.", store)
	case "InvalidRange":
		return video.Errorf(video.Invalid, "The object ends before that offset.")
	// Not Forbidden: that would be permanent, and a purge must outlast an
	// operator's mistake. Some of these come with status 400.
	case accessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
		"RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "AccountProblem", "AllAccessDisabled", "XAdminUserNotFound":
		return refused(store)
	case "RequestTimeout", "OperationAborted", parentPruned:
		return unavailable(store)
	}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return refused(store)
	case status == http.StatusRequestedRangeNotSatisfiable:
		return video.Errorf(video.Invalid, "The object ends before that offset.")
	// No status: it was never reached, or broke off.
	case status < 400, status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return unavailable(store)
	default:
		return video.Errorf(video.Internal, "The store %q did not accept a request.", store)
	}
}

// isMissing reports whether a code says that there is nothing. Nothing else is taken for
// NotFound, least of all the bare status 404: it would let a store that doesn't know
// our credentials pass for an empty one.
func isMissing(code string) bool {
	return code == "NoSuchKey" || code == "NoSuchVersion" || code == "NoSuchUpload"
}

// isDamage reports whether a code says that a body didn't come as it was sent.
func isDamage(code string) bool {
	switch code {
	case "BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody":
		return true
	}
	return false
}

func throttled(store string) *video.Error {
	return video.Errorf(video.Unavailable, "The store %q asks for fewer requests.", store)
}

func unavailable(store string) *video.Error {
	return video.Errorf(video.Unavailable, "The store %q can't be reached or is overloaded.", store)
}

func refused(store string) *video.Error {
	return video.Errorf(video.Unavailable, "The store %q refuses the credentials or what they ask for.", store)
}

func errorCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// httpStatus is 0 when there was no answer.
func httpStatus(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

// isCoded tells what a store has caused from the end of a context.
func isCoded(err error) bool {
	_, coded := errors.AsType[*video.Error](err)
	return coded
}
