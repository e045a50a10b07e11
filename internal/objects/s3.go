package objects

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/reelflow/reelflow/video"
)

// nullVersion is what S3 calls the version of an object that was put while the
// bucket kept no versions, in listings and deletions but not in answers to
// puts. Here it is "" everywhere.
const nullVersion = "null"

func fromWire(version *string) string {
	if aws.ToString(version) == nullVersion {
		return ""
	}
	return aws.ToString(version)
}

// toDelete names a version for deletion: without any name, it would only hide.
func toDelete(version string) *string {
	if version == "" {
		version = nullVersion
	}
	return &version
}

// S3 is a Store that speaks the S3 protocol. Open makes one. It holds idle
// connections for some seconds and needs no closing.
type S3 struct {
	name, bucket string
	client       *s3.Client
	keeps        int    // entries that a purge holds in memory
	page         *int32 // entries of a page of a listing; nil for as many as the store gives

	batchRefused atomic.Int64 // when it last refused DeleteObjects, in Unix nanoseconds
}

var _ Store = (*S3)(nil)

func (s *S3) Name() string { return s.name }

func (s *S3) Put(ctx context.Context, key string, body []byte, o PutOptions) (string, error) {
	in := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key,
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	}
	if o.ContentType != "" {
		in.ContentType = &o.ContentType
	}
	in.ChecksumCRC32C = aws.String(crc32c(body))
	out, err := s.client.PutObject(ctx, in, unsignedPayload)
	if err != nil {
		return "", s.fault(ctx, err)
	}
	return fromWire(out.VersionId), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c is the checksum by which a store refuses a body that was damaged on its
// way, as S3 writes it: CRC-32C (RFC 9260, appendix A), which processors of both
// sides compute by themselves, in base64. It is no proof against anybody: what
// must be proven is compared with the manifest's SHA-256.
func crc32c(body []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli)))
}

// unsignedPayload leaves the body out of the signature, which would hash it with
// SHA-256 here and in the store. TLS or the checksum guard it.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

func (s *S3) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	if off < 0 {
		return nil, video.Errorf(video.Invalid, "An offset can't be negative.").At(s.name)
	}
	if n == 0 { // HTTP has no empty range
		return s.getNothing(ctx, key, version, off)
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, VersionId: optional(version), Range: byteRange(off, n)}
	out, err := s.client.GetObject(ctx, in)
	switch {
	case err == nil:
		return &body{ctx: ctx, store: s, content: out.Body}, nil
	case off == 0 && httpStatus(err) == http.StatusRequestedRangeNotSatisfiable:
		return http.NoBody, nil // an empty object has no first byte
	default:
		return nil, s.readFault(ctx, err)
	}
}

// readFault is fault for reads: a delete marker that is asked for by its
// version answers 405 to them.
func (s *S3) readFault(ctx context.Context, err error) error {
	if httpStatus(err) == http.StatusMethodNotAllowed {
		return classify(s.name, "NoSuchVersion", 0).Because(err)
	}
	return s.fault(ctx, err)
}

func (s *S3) getNothing(ctx context.Context, key, version string, off int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, key, version)
	if err != nil {
		return nil, err
	}
	if off > 0 && off >= info.Size {
		return nil, classify(s.name, "InvalidRange", 0)
	}
	return http.NoBody, nil
}

// byteRange is a Range header (RFC 9110, section 14.2), nil for all of it.
func byteRange(off, n int64) *string {
	switch {
	case off == 0 && n < 0:
		return nil
	case n < 0:
		return aws.String(fmt.Sprintf("bytes=%d-", off))
	default:
		return aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// body gives the errors of a stream their codes.
type body struct {
	ctx     context.Context
	store   *S3
	content io.ReadCloser
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.content.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.store.fault(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	// All that was asked for has been read, or is no longer wanted: an error
	// here can't take anything back.
	_ = b.content.Close()
	return nil
}

func (s *S3) Stat(ctx context.Context, key, version string) (Info, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, VersionId: optional(version)})
	if httpStatus(err) == http.StatusNotFound {
		return Info{}, s.missing(ctx, key, version)
	}
	if err != nil {
		return Info{}, s.readFault(ctx, err)
	}
	return Info{
		Size:     aws.ToInt64(out.ContentLength),
		ETag:     aws.ToString(out.ETag),
		Version:  fromWire(out.VersionId),
		Modified: aws.ToTime(out.LastModified),
	}, nil
}

// missing tells why a HEAD answered 404. That answer has no body: only a GET
// says whether it is the object, the bucket or our access key that is unknown.
func (s *S3) missing(ctx context.Context, key, version string) error {
	appeared, err := s.Get(ctx, key, version, 0, 1)
	if err != nil {
		return err
	}
	_ = appeared.Close() // never fails; and at the time of the HEAD there was nothing
	return classify(s.name, "NoSuchKey", 0)
}

func (s *S3) Delete(ctx context.Context, key, version string) error {
	return s.deleteVersion(ctx, key, version)
}

func (s *S3) deleteVersion(ctx context.Context, key, version string, options ...func(*s3.Options)) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, VersionId: toDelete(version)}, options...)
	if errorCode(err) == "InvalidArgument" {
		// Some stores say so of a version that is gone while others of its key are there.
		if _, look := s.Stat(ctx, key, *toDelete(version)); look != nil {
			return ignoreNotFound(look)
		}
	}
	return ignoreNotFound(s.fault(ctx, err))
}

func ignoreNotFound(err error) error {
	if err != nil && video.CodeOf(err) == video.NotFound {
		return nil
	}
	return err
}

func (s *S3) Ready(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket})
	if httpStatus(err) != http.StatusNotFound {
		return s.fault(ctx, err)
	}
	// Again, only an answer with a body says what is missing.
	if _, why := s.Versioned(ctx); why != nil {
		return why
	}
	return classify(s.name, "NoSuchBucket", 0).Because(err)
}

func (s *S3) Versioned(ctx context.Context) (bool, error) {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket})
	if httpStatus(err) == http.StatusNotImplemented {
		return false, nil
	}
	if err != nil {
		return false, s.fault(ctx, err)
	}
	return out.Status != "", nil
}
