package telemetry

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/internal/objects"
)

// Stores returns the same stores, with every call of them counted.
func (m *Metrics) Stores(set objects.Set) objects.Set {
	measured := objects.Set{Primary: &measuredStore{set.Primary, m}}
	for _, backup := range set.Backups {
		measured.Backups = append(measured.Backups, &measuredStore{backup, m})
	}
	return measured
}

// measuredStore is a Store whose calls are counted. Its results are those of the store.
type measuredStore struct {
	store   objects.Store
	metrics *Metrics
}

var _ objects.Store = (*measuredStore)(nil)

func (s *measuredStore) observe(operation string, begun time.Time, err error) {
	s.metrics.storeTime.WithLabelValues(s.store.Name(), operation, result(err)).Observe(time.Since(begun).Seconds())
}

func (s *measuredStore) count(direction string, bytes int64) {
	s.metrics.storeBytes.WithLabelValues(s.store.Name(), direction).Add(float64(bytes))
}

func (s *measuredStore) Name() string { return s.store.Name() }

func (s *measuredStore) Put(ctx context.Context, key string, body []byte, o objects.PutOptions) (string, error) {
	begun := time.Now()
	version, err := s.store.Put(ctx, key, body, o)
	s.observe("put", begun, err)
	if err == nil {
		s.count("written", int64(len(body)))
	}
	return version, err
}

// Get is counted when its body is closed.
func (s *measuredStore) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	begun := time.Now()
	body, err := s.store.Get(ctx, key, version, off, n)
	if err != nil {
		s.observe("get", begun, err)
		return nil, err
	}
	return &measuredBody{ReadCloser: body, store: s, begun: begun}, nil
}

// measuredBody counts what is read of it.
type measuredBody struct {
	io.ReadCloser
	store  *measuredStore
	begun  time.Time
	failed atomic.Pointer[error] // of the last read, unless it was the end
	closed atomic.Bool
}

func (b *measuredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.store.count("read", int64(n))
	}
	if err != nil && err != io.EOF {
		b.failed.Store(&err)
	}
	return n, err
}

func (b *measuredBody) Close() error {
	err := b.ReadCloser.Close()
	if b.closed.Swap(true) {
		return err
	}
	var failed error
	if last := b.failed.Load(); last != nil {
		failed = *last
	}
	b.store.observe("get", b.begun, failed)
	return err
}

func (s *measuredStore) Stat(ctx context.Context, key, version string) (objects.Info, error) {
	begun := time.Now()
	info, err := s.store.Stat(ctx, key, version)
	s.observe("stat", begun, err)
	return info, err
}

func (s *measuredStore) Delete(ctx context.Context, key, version string) error {
	begun := time.Now()
	err := s.store.Delete(ctx, key, version)
	s.observe("delete", begun, err)
	return err
}

func (s *measuredStore) Inventory(ctx context.Context, prefix string, visit func(objects.Entry) error) (objects.Inventory, error) {
	begun := time.Now()
	found, err := s.store.Inventory(ctx, prefix, visit)
	s.observe("list", begun, err)
	return found, err
}

func (s *measuredStore) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	begun := time.Now()
	removed, err := s.store.Purge(ctx, prefix, watch)
	s.observe("purge", begun, err)
	return removed, err
}

func (s *measuredStore) Ready(ctx context.Context) error {
	begun := time.Now()
	err := s.store.Ready(ctx)
	s.observe("ready", begun, err)
	return err
}

func (s *measuredStore) Versioned(ctx context.Context) (bool, error) {
	begun := time.Now()
	versioned, err := s.store.Versioned(ctx)
	s.observe("versioned", begun, err)
	return versioned, err
}
