package objects_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// BenchmarkPut puts segments of 8 MiB, as an upload does: two in flight.
func BenchmarkPut(b *testing.B) {
	store := open(b, devstacktest.Start(b, devstacktest.Primary).Stores[0].URL)
	segment := bytes.Repeat([]byte("8 bytes "), 1<<20)
	b.SetBytes(int64(len(segment)))
	prefix := video.NewID().Prefix()
	var group errgroup.Group
	group.SetLimit(2)
	for i := 0; b.Loop(); i++ {
		group.Go(func() error {
			_, err := store.Put(b.Context(), fmt.Sprintf("%s%d", prefix, i), segment, objects.PutOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if _, err := store.Purge(b.Context(), prefix, objects.Watch{}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPurge removes 1,000 keys of two versions each, every second hidden by
// a delete marker: 2,500 entries, and an unfinished upload.
func BenchmarkPurge(b *testing.B) {
	server := devstacktest.Start(b, devstacktest.Primary).Stores[0]
	store, client, bucket := open(b, server.URL), plainClient(b, server), bucketOf(b, server.URL)
	for b.Loop() {
		b.StopTimer()
		prefix := video.NewID().Prefix()
		var group errgroup.Group
		group.SetLimit(4)
		for i := range 1000 {
			group.Go(func() error {
				key := fmt.Sprintf("%shls/%06d.ts", prefix, i)
				for range 2 {
					if _, err := store.Put(b.Context(), key, make([]byte, 16<<10), objects.PutOptions{}); err != nil {
						return err
					}
				}
				if i%2 == 1 {
					return nil
				}
				_, err := client.DeleteObject(b.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		source := prefix + "source"
		if _, err := client.CreateMultipartUpload(b.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: &source}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		removed, err := store.Purge(b.Context(), prefix, objects.Watch{})
		if err != nil || removed != (objects.Removed{Objects: 500, Versions: 2000, DeleteMarkers: 500, Multiparts: 1}) {
			b.Fatalf("removed %+v, %v", removed, err)
		}
	}
	b.ReportMetric(2500*float64(b.N)/b.Elapsed().Seconds(), "versions/s")
}
