package objects_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
)

// plainClient is an S3 client that owes nothing to the package under test.
func plainClient(t testing.TB, store devstacktest.Store) *s3.Client {
	t.Helper()
	u, err := url.Parse(store.URL)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &store.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(u.User.Username(), secret, ""),
	})
}

func open(t testing.TB, rawURL string) *objects.S3 {
	t.Helper()
	store, err := objects.Open(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

var buckets atomic.Int32

// newBucket makes an unversioned bucket and returns its URL.
func newBucket(t testing.TB, store devstacktest.Store) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	if _, err := plainClient(t, store).CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(store.URL, "/reelflow?", "/"+name+"?", 1)
}

func bucketOf(t testing.TB, rawURL string) *string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return aws.String(strings.Trim(u.Path, "/"))
}

func subject(t testing.TB, store devstacktest.Store, rawURL string, versioned bool) objectstest.Subject {
	client, bucket := plainClient(t, store), bucketOf(t, rawURL)
	return objectstest.Subject{
		Store: open(t, rawURL), Versioned: versioned,
		Hide: func(t testing.TB, key string) {
			if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key}); err != nil {
				t.Error(err)
			}
		},
		BeginMultipart: func(t testing.TB, key string) {
			if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: &key}); err != nil {
				t.Error(err)
			}
		},
	}
}

func TestS3(t *testing.T) {
	t.Parallel()
	store := devstacktest.Start(t, devstacktest.Primary).Stores[0]
	t.Run("versioned", func(t *testing.T) {
		objectstest.Run(t, func(t *testing.T) objectstest.Subject { return subject(t, store, store.URL, true) })
	})
	t.Run("unversioned", func(t *testing.T) {
		bucket := newBucket(t, store)
		objectstest.Run(t, func(t *testing.T) objectstest.Subject { return subject(t, store, bucket, false) })
	})
}
