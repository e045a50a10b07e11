package objectstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
)

// Without faults a Faulty store behaves like the one it wraps.
func TestFaultyWithoutFaults(t *testing.T) {
	t.Parallel()
	objectstest.Run(t, func(*testing.T) objectstest.Subject {
		subject := objectstest.NewMemory("memory").Subject()
		subject.Store = objectstest.Faulty(subject.Store, func(objectstest.Op, string) error { return nil })
		return subject
	})
}

func TestFaults(t *testing.T) {
	down := errors.New("down")
	for _, test := range []struct {
		name   string
		fault  error
		told   error
		stored bool
	}{
		{"passes", nil, nil, true},
		{"fails before", down, down, false},
		{"loses the answer", objectstest.AnswerLost(down), down, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := objectstest.NewMemory("memory")
			store := objectstest.Faulty(memory, func(op objectstest.Op, key string) error {
				if op != objectstest.Put || key != "k" {
					t.Errorf("asked about %s %s", op, key)
				}
				return test.fault
			})
			_, err := store.Put(t.Context(), "k", nil, objects.PutOptions{})
			_, missing := memory.Stat(t.Context(), "k", "")
			if !errors.Is(err, test.told) || (missing == nil) != test.stored {
				t.Fatalf("told %v, stored %v", err, missing == nil)
			}
		})
	}
}

func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		store := objectstest.Faulty(objectstest.NewMemory("memory"), func(objectstest.Op, string) error {
			return objectstest.Until(released)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := store.Ready(ctx); err != context.DeadlineExceeded {
			t.Fatalf("a hanging store answered %v", err)
		}
		time.AfterFunc(time.Second, func() { close(released) })
		if err := store.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
