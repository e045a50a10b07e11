// Package objectstest helps to test what works with object stores: a Store in
// memory, a Store that fails on demand, and the suite that every Store passes.
// All of it lives as long as the values do.
package objectstest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// purgeBatch is how many entries a purge in memory removes before it shows a
// sign of life and lets others in.
const purgeBatch = 500

// Memory is a Store in memory. It passes the same suite as the real ones.
type Memory struct {
	name      string
	versioned bool

	mu         sync.Mutex
	puts       int                  // numbers versions and uploads
	keys       map[string][]version // oldest first; never empty
	multiparts map[string]multipart // by upload id
}

var _ objects.Store = (*Memory)(nil)

type version struct {
	id       string
	body     []byte
	marker   bool
	modified time.Time
}

type multipart struct {
	key   string
	begun time.Time
}

// NewMemory returns an empty store that keeps versions.
func NewMemory(name string) *Memory {
	return &Memory{name: name, versioned: true, keys: map[string][]version{}, multiparts: map[string]multipart{}}
}

// NewMemoryUnversioned returns an empty store that keeps no versions.
func NewMemoryUnversioned(name string) *Memory {
	m := NewMemory(name)
	m.versioned = false
	return m
}

// Subject presents m to the suite.
func (m *Memory) Subject() Subject {
	return Subject{
		Store: m, Versioned: m.versioned,
		Hide:           func(_ testing.TB, key string) { m.Hide(key) },
		BeginMultipart: func(_ testing.TB, key string) { m.BeginMultipart(key) },
	}
}

func (m *Memory) Name() string { return m.name }

func (m *Memory) Put(ctx context.Context, key string, body []byte, _ objects.PutOptions) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.add(key, version{body: bytes.Clone(body)}), nil
}

// add is called with mu held.
func (m *Memory) add(key string, v version) string {
	v.modified = time.Now()
	if !m.versioned {
		m.keys[key] = []version{v}
		return ""
	}
	m.puts++
	v.id = fmt.Sprintf("v%08d", m.puts)
	m.keys[key] = append(m.keys[key], v)
	return v.id
}

// Hide deletes key as a plain S3 client does: with a delete marker where
// versions are kept.
func (m *Memory) Hide(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.versioned {
		m.add(key, version{marker: true})
	} else {
		delete(m.keys, key)
	}
}

// BeginMultipart leaves an unfinished multipart upload behind.
func (m *Memory) BeginMultipart(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	m.multiparts[fmt.Sprintf("u%08d", m.puts)] = multipart{key, time.Now()}
}

func (m *Memory) find(ctx context.Context, key, id string) (version, error) {
	if ctx.Err() != nil {
		return version{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	versions := m.keys[key]
	for i, v := range slices.Backward(versions) {
		if (id == "" && i == len(versions)-1 || id != "" && v.id == id) && !v.marker {
			return v, nil
		}
	}
	return version{}, video.Errorf(video.NotFound, "The store %q has no such object.", m.name).At(m.name)
}

func (m *Memory) Get(ctx context.Context, key, id string, off, n int64) (io.ReadCloser, error) {
	v, err := m.find(ctx, key, id)
	if err != nil {
		return nil, err
	}
	size := int64(len(v.body))
	if off < 0 || off > 0 && off >= size {
		return nil, video.Errorf(video.Invalid, "The object ends before that offset.").At(m.name)
	}
	end := size
	if n >= 0 {
		end = min(size, off+n)
	}
	return &reader{ctx, bytes.NewReader(v.body[off:end])}, nil
}

// reader ends with its context, like a body that comes over a network.
type reader struct {
	ctx     context.Context
	content io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	return r.content.Read(p)
}

func (r *reader) Close() error { return nil }

func (m *Memory) Stat(ctx context.Context, key, id string) (objects.Info, error) {
	v, err := m.find(ctx, key, id)
	if err != nil {
		return objects.Info{}, err
	}
	sum := md5.Sum(v.body)
	return objects.Info{Size: int64(len(v.body)), ETag: `"` + hex.EncodeToString(sum[:]) + `"`, Version: v.id, Modified: v.modified}, nil
}

func (m *Memory) Delete(ctx context.Context, key, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(objects.Entry{Kind: objects.Version, Key: key, Version: id})
	return nil
}

// remove is called with mu held, and reports whether e was there.
func (m *Memory) remove(e objects.Entry) bool {
	if e.Kind == objects.Multipart {
		_, there := m.multiparts[e.Version]
		delete(m.multiparts, e.Version)
		return there
	}
	before := m.keys[e.Key]
	after := slices.DeleteFunc(slices.Clone(before), func(v version) bool { return v.id == e.Version })
	if len(after) == 0 {
		delete(m.keys, e.Key)
	} else {
		m.keys[e.Key] = after
	}
	return len(after) < len(before)
}

func (m *Memory) Inventory(ctx context.Context, prefix string, visit func(objects.Entry) error) (objects.Inventory, error) {
	var found objects.Inventory
	for _, e := range m.list(prefix) {
		if ctx.Err() != nil {
			return objects.Inventory{}, ctx.Err()
		}
		found.Add(e)
		if visit == nil {
			continue
		}
		if err := visit(e); err != nil {
			return objects.Inventory{}, err
		}
	}
	return found, ctx.Err()
}

func (m *Memory) list(prefix string) []objects.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []objects.Entry
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		versions := m.keys[key]
		for i, v := range slices.Backward(versions) {
			e := objects.Entry{
				Kind: objects.Version, Key: key, Version: v.id, Current: i == len(versions)-1,
				Size: int64(len(v.body)), Modified: v.modified,
			}
			if v.marker {
				e.Kind = objects.DeleteMarker
			}
			all = append(all, e)
			if e.Current && !v.marker {
				all = append(all, objects.Entry{Kind: objects.Object, Key: key, Size: e.Size, Modified: e.Modified})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.multiparts)) {
		if u := m.multiparts[id]; strings.HasPrefix(u.key, prefix) {
			all = append(all, objects.Entry{Kind: objects.Multipart, Key: u.key, Version: id, Modified: u.begun})
		}
	}
	return all
}

func (m *Memory) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	var removed objects.Removed
	if err := objects.CheckPurgePrefix(m.name, prefix); err != nil {
		return removed, err
	}
	for {
		var left []objects.Entry
		found, err := m.Inventory(ctx, prefix, func(e objects.Entry) error { left = append(left, e); return nil })
		if err == nil && watch.Found != nil {
			err = watch.Found(found)
		}
		if err != nil || found.Empty() {
			return removed, err
		}
		for batch := range slices.Chunk(left, purgeBatch) {
			if ctx.Err() != nil {
				return removed, ctx.Err()
			}
			m.removeAll(batch, &removed)
			if watch.Removed != nil {
				watch.Removed(removed)
			}
		}
	}
}

func (m *Memory) removeAll(batch []objects.Entry, removed *objects.Removed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range batch {
		switch {
		case e.Kind == objects.Object:
			removed.Objects++ // its version is an entry of its own
		case !m.remove(e):
		case e.Kind == objects.Version:
			removed.Versions++
		case e.Kind == objects.DeleteMarker:
			removed.DeleteMarkers++
		case e.Kind == objects.Multipart:
			removed.Multiparts++
		}
	}
}

func (m *Memory) Ready(ctx context.Context) error { return ctx.Err() }

func (m *Memory) Versioned(ctx context.Context) (bool, error) { return m.versioned, ctx.Err() }
