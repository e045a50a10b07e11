package objects

import (
	"testing"

	"github.com/reelflow/reelflow/video"
)

// Nothing that an operator can mend, or that passes, may be permanent: a purge
// must never give up on a store.
func TestClassify(t *testing.T) {
	for _, test := range []struct {
		code   string
		status int
		want   video.Code
	}{
		{"", 0, video.Unavailable},
		{"", 200, video.Unavailable}, // an answer that broke off
		{"NoSuchKey", 404, video.NotFound},
		{"NoSuchVersion", 404, video.NotFound},
		{"NotFound", 404, video.Internal},
		{"XAdminUserNotFound", 404, video.Unavailable},
		{"MethodNotAllowed", 405, video.Internal},
		{"NoSuchBucket", 404, video.Unavailable},
		{"InvalidRange", 416, video.Invalid},
		{"BadDigest", 400, video.Unavailable},
		{"AccessDenied", 403, video.Unavailable},
		{"InvalidAccessKeyId", 403, video.Unavailable},
		{"SignatureDoesNotMatch", 403, video.Unavailable},
		{"ExpiredToken", 400, video.Unavailable},
		{"Forbidden", 403, video.Unavailable},
		{"SlowDown", 503, video.Unavailable},
		{"TooManyRequests", 429, video.Unavailable},
		{"InternalError", 500, video.Unavailable},
		{"RequestTimeout", 400, video.Unavailable},
		{"InvalidArgument", 400, video.Internal},
		{"ExistingObjectIsDirectory", 409, video.Unavailable}, // a directory was pruned meanwhile
		{"ObjectParentIsFile", 409, video.Internal},
	} {
		if got := classify("primary", test.code, test.status); got.Code != test.want || got.Place != "primary" {
			t.Errorf("%s %d is %+v, want %s of the store", test.code, test.status, got, test.want)
		}
	}
}
