package objects

import (
	"errors"
	"net/http"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func answered(status int, code, retryAfter string) error {
	header := http.Header{}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: header}},
		Err:      &smithy.GenericAPIError{Code: code},
	}}
}

// A store that asks for fewer requests is waited for, but not for ever; one that is down
// is told at once.
func TestPatience(t *testing.T) {
	for _, test := range []struct {
		name        string
		err         error
		again       int
		least, most time.Duration
	}{
		{"SlowDown", answered(503, "SlowDown", ""), throttlesBorne, 9 * time.Second, 30 * time.Second},
		{"429", answered(429, "", ""), throttlesBorne, 9 * time.Second, 30 * time.Second},
		{"Retry-After", answered(503, "", "5"), throttlesBorne, 35 * time.Second, 45 * time.Second},
		{"Retry-After of a day", answered(429, "", "86400"), throttlesBorne, 42 * time.Second, 45 * time.Second},
		{"Retry-After that is no number", answered(503, "ServiceUnavailable", "soon"), 2, 0, time.Second},
		{"down", answered(503, "ServiceUnavailable", ""), 2, 0, time.Second},
		{"unreachable", &unreached{}, 2, 0, time.Second},
		{"refused", answered(403, accessDenied, ""), 0, 0, 0},
	} {
		r := &patientRetryer{RetryerV2: newRetryer()}
		again, waited := 0, time.Duration(0)
		for ; again < 100 && r.IsErrorRetryable(test.err); again++ {
			d, err := r.RetryDelay(again+1, test.err)
			if err != nil {
				t.Fatal(err)
			}
			waited += d
		}
		if again != test.again || waited < test.least || waited > test.most {
			t.Errorf("%s: tried again %d times over %v, want %d times over %v to %v", test.name, again, waited, test.again, test.least, test.most)
		}
	}
}

// unreached is a connection that could not be made.
type unreached struct{}

func (*unreached) Error() string         { return "connection refused" }
func (*unreached) ConnectionError() bool { return true }

// A hiccup between throttles is counted apart from them.
func TestPatienceBetweenHiccups(t *testing.T) {
	r := &patientRetryer{RetryerV2: newRetryer()}
	for i, err := range []error{answered(503, "SlowDown", ""), &unreached{}, answered(503, "SlowDown", ""), answered(503, "SlowDown", ""), &unreached{}} {
		if !r.IsErrorRetryable(err) {
			t.Fatalf("gives up at %d", i)
		}
	}
	if r.IsErrorRetryable(&unreached{}) || r.IsErrorRetryable(errors.New("anything else")) {
		t.Error("a third hiccup is retried")
	}
}
