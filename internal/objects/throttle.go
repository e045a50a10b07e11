package objects

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// throttles are the codes by which stores ask for fewer requests.
var throttles = map[string]bool{
	"SlowDown": true, "SlowDownRead": true, "SlowDownWrite": true, "TooManyRequests": true, "TooManyRequestsException": true,
	"Throttling": true, "ThrottlingException": true, "RequestThrottled": true, "RequestLimitExceeded": true, "BandwidthLimitExceeded": true,
}

const (
	// throttlesBorne is how many times in a row one request is sent again to a store that
	// asks for fewer, over some twenty seconds. Whoever wants to wait for longer says so.
	throttlesBorne = 7
	slowestRequest = 6 * time.Second
)

// isThrottle reports whether a store asks for fewer requests. A 503 without an S3 code
// or a Retry-After comes from what stands before a store that is down.
func isThrottle(err error) bool {
	return throttles[errorCode(err)] || httpStatus(err) == http.StatusTooManyRequests ||
		httpStatus(err) == http.StatusServiceUnavailable && retryAfter(err) > 0
}

// retryAfter is what an answer says in Retry-After (RFC 9110, section 10.2.3), in its form
// of seconds; 0 if nothing.
func retryAfter(err error) time.Duration {
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.Response == nil {
		return 0
	}
	seconds, err := strconv.Atoi(response.Response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(slowestRequest/time.Second))) * time.Second
}

// throttleDelay is the wait before a request is sent again after the n-th time, counted
// from 1, that the store asked for fewer: it doubles from a quarter of a second, differs
// among those who wait, and is no shorter than the store asks for.
func throttleDelay(n int, err error) time.Duration {
	most := min(250*time.Millisecond<<(n-1), slowestRequest)
	return max(retryAfter(err), most/2+rand.N(most/2))
}

// patient makes one request wait for a store that asks for fewer of them: the work of a
// purge or an audit has time, and would only meet the same again.
func patient(o *s3.Options) { o.Retryer = &patientRetryer{RetryerV2: newRetryer()} }

// patientRetryer serves a single call, one attempt after the other.
type patientRetryer struct {
	aws.RetryerV2
	throttled, failed int
}

func (r *patientRetryer) MaxAttempts() int { return 0 } // IsErrorRetryable counts

func (r *patientRetryer) IsErrorRetryable(err error) bool {
	if isThrottle(err) {
		r.throttled++
		return r.throttled <= throttlesBorne
	}
	r.failed++
	return r.failed < r.RetryerV2.MaxAttempts() && r.RetryerV2.IsErrorRetryable(err)
}

func (r *patientRetryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	if isThrottle(err) {
		return throttleDelay(max(1, r.throttled), err), nil
	}
	return r.RetryerV2.RetryDelay(attempt, err)
}
