package objectstest

import (
	"context"
	"errors"
	"io"

	"github.com/reelflow/reelflow/internal/objects"
)

// Op names a method of Store for faults.
type Op string

// The operations that can fail. Inventory and Purge give their prefix as key,
// Ready and Versioned none.
const (
	Put       Op = "put"
	Get       Op = "get"
	Stat      Op = "stat"
	Delete    Op = "delete"
	Inventory Op = "inventory"
	Purge     Op = "purge"
	Ready     Op = "ready"
	Versioned Op = "versioned"
)

// Faulty wraps a Store. Before each operation it asks fault, which may be called
// from several goroutines, and which answers
//
//   - nil: the operation goes through;
//   - AnswerLost(err): it goes through, and err is returned all the same;
//   - Until(released): it waits until that channel is closed, or returns
//     ctx.Err(), and then goes through;
//   - any other error: it is returned, and nothing is done.
func Faulty(store objects.Store, fault func(op Op, key string) error) objects.Store {
	return &faulty{store, fault}
}

// AnswerLost is the fault of an operation that is done, and whose caller is told err.
func AnswerLost(err error) error { return &answerLost{err} }

// Until is the fault of an operation that hangs until released is closed.
func Until(released <-chan struct{}) error { return &until{released} }

type answerLost struct{ told error }

func (e *answerLost) Error() string { return "answer lost: " + e.told.Error() }

type until struct{ released <-chan struct{} }

func (e *until) Error() string { return "hangs" }

type faulty struct {
	objects.Store
	fault func(Op, string) error
}

// begin returns what the caller shall be told after the operation, or err
// where there shall be none.
func (f *faulty) begin(ctx context.Context, op Op, key string) (told, err error) {
	fault := f.fault(op, key)
	if lost, ok := errors.AsType[*answerLost](fault); ok {
		return lost.told, nil
	}
	if hang, ok := errors.AsType[*until](fault); ok {
		select {
		case <-hang.released:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fault
}

// do runs one operation with its fault.
func do[T any](ctx context.Context, f *faulty, op Op, key string, run func() (T, error)) (T, error) {
	var zero T
	told, err := f.begin(ctx, op, key)
	if err != nil {
		return zero, err
	}
	result, err := run()
	if err == nil && told != nil {
		return zero, told
	}
	return result, err
}

func (f *faulty) Put(ctx context.Context, key string, body []byte, o objects.PutOptions) (string, error) {
	return do(ctx, f, Put, key, func() (string, error) { return f.Store.Put(ctx, key, body, o) })
}

func (f *faulty) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	return do(ctx, f, Get, key, func() (io.ReadCloser, error) { return f.Store.Get(ctx, key, version, off, n) })
}

func (f *faulty) Stat(ctx context.Context, key, version string) (objects.Info, error) {
	return do(ctx, f, Stat, key, func() (objects.Info, error) { return f.Store.Stat(ctx, key, version) })
}

func (f *faulty) Delete(ctx context.Context, key, version string) error {
	_, err := do(ctx, f, Delete, key, func() (struct{}, error) { return struct{}{}, f.Store.Delete(ctx, key, version) })
	return err
}

func (f *faulty) Inventory(ctx context.Context, prefix string, visit func(objects.Entry) error) (objects.Inventory, error) {
	return do(ctx, f, Inventory, prefix, func() (objects.Inventory, error) { return f.Store.Inventory(ctx, prefix, visit) })
}

func (f *faulty) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	return do(ctx, f, Purge, prefix, func() (objects.Removed, error) { return f.Store.Purge(ctx, prefix, watch) })
}

func (f *faulty) Ready(ctx context.Context) error {
	_, err := do(ctx, f, Ready, "", func() (struct{}, error) { return struct{}{}, f.Store.Ready(ctx) })
	return err
}

func (f *faulty) Versioned(ctx context.Context) (bool, error) {
	return do(ctx, f, Versioned, "", func() (bool, error) { return f.Store.Versioned(ctx) })
}
