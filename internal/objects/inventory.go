package objects

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/reelflow/reelflow/video"
)

func (s *S3) Inventory(ctx context.Context, prefix string, visit func(Entry) error) (Inventory, error) {
	var found Inventory
	var bytes int64
	count := func(e Entry) error {
		found.Add(e)
		if e.Kind == Object {
			bytes += e.Size
		}
		if visit == nil {
			return nil
		}
		return visit(e)
	}
	for _, list := range []func(context.Context, string, func(Entry) error) error{
		s.listVersions, s.listObjects, s.listMultiparts,
	} {
		if err := list(ctx, prefix, count); err != nil {
			return Inventory{}, err
		}
	}
	if found.Versions == 0 {
		found.Bytes = bytes
	}
	return found, nil
}

// under is visit for what lies under a prefix. A store that takes a prefix for something
// else must not make us count, or purge, what belongs to a neighbour.
func under(prefix string, visit func(Entry) error) func(Entry) error {
	return func(e Entry) error {
		if !strings.HasPrefix(e.Key, prefix) {
			return nil
		}
		return visit(e)
	}
}

// listVersions visits the entries in the order of their keys.
func (s *S3) listVersions(ctx context.Context, prefix string, visit func(Entry) error) error {
	visit = under(prefix, visit)
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: optional(prefix), MaxKeys: s.page})
	var at progress
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, patient)
		if httpStatus(err) == http.StatusNotImplemented {
			return nil // a store without versions; listObjects finds everything
		}
		if err != nil {
			return s.fault(ctx, err)
		}
		for _, e := range versionsOf(page) {
			if err := visit(e); err != nil {
				return err
			}
		}
		if err := at.advance(s.name, page.IsTruncated, page.NextKeyMarker, page.NextVersionIdMarker); err != nil {
			return err
		}
	}
	return nil
}

// versionsOf merges the versions and delete markers of a page, which come apart.
func versionsOf(page *s3.ListObjectVersionsOutput) []Entry {
	all := make([]Entry, 0, len(page.Versions)+len(page.DeleteMarkers))
	for _, v := range page.Versions {
		all = append(all, Entry{
			Kind: Version, Key: aws.ToString(v.Key), Version: fromWire(v.VersionId),
			Current: aws.ToBool(v.IsLatest), Size: aws.ToInt64(v.Size), Modified: aws.ToTime(v.LastModified),
		})
	}
	for _, m := range page.DeleteMarkers {
		all = append(all, Entry{
			Kind: DeleteMarker, Key: aws.ToString(m.Key), Version: fromWire(m.VersionId),
			Current: aws.ToBool(m.IsLatest), Modified: aws.ToTime(m.LastModified),
		})
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return all
}

func (s *S3) listObjects(ctx context.Context, prefix string, visit func(Entry) error) error {
	visit = under(prefix, visit)
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: optional(prefix), MaxKeys: s.page})
	var at progress
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, patient)
		if err != nil {
			return s.fault(ctx, err)
		}
		for _, o := range page.Contents {
			err := visit(Entry{Kind: Object, Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)})
			if err != nil {
				return err
			}
		}
		if err := at.advance(s.name, page.IsTruncated, page.NextContinuationToken, nil); err != nil {
			return err
		}
	}
	return nil
}

// listMultiparts asks twice: some stores take the prefix for an exact key, and
// some list nothing without one.
func (s *S3) listMultiparts(ctx context.Context, prefix string, visit func(Entry) error) error {
	seen := map[[2]string]bool{}
	once := func(u types.MultipartUpload) error {
		id := [2]string{aws.ToString(u.Key), aws.ToString(u.UploadId)}
		if seen[id] || !strings.HasPrefix(id[0], prefix) {
			return nil
		}
		seen[id] = true
		return visit(Entry{Kind: Multipart, Key: id[0], Version: id[1], Modified: aws.ToTime(u.Initiated)})
	}
	if err := s.listMultipartsOnce(ctx, prefix, once); err != nil || prefix == "" {
		return err
	}
	return s.listMultipartsOnce(ctx, "", once)
}

func (s *S3) listMultipartsOnce(ctx context.Context, prefix string, visit func(types.MultipartUpload) error) error {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: optional(prefix)})
	var at progress
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, patient)
		if err != nil {
			return s.fault(ctx, err)
		}
		for _, u := range page.Uploads {
			if err := visit(u); err != nil {
				return err
			}
		}
		if err := at.advance(s.name, page.IsTruncated, page.NextKeyMarker, page.NextUploadIdMarker); err != nil {
			return err
		}
	}
	return nil
}

// progress notices a store that says 'there is more' and doesn't move on. To
// stop there silently would pass part of a listing off as all of it.
type progress struct{ key, id string }

func (p *progress) advance(store string, more *bool, key, id *string) error {
	next := progress{aws.ToString(key), aws.ToString(id)}
	if aws.ToBool(more) && next == *p {
		return video.Errorf(video.Internal, "The store %q can't list what it holds to the end.", store).At(store)
	}
	*p = next
	return nil
}
