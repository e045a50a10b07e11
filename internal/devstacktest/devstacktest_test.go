package devstacktest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/devstacktest"
)

// answers asks for anything at all; even a refusal is an answer.
func answers(url string) error {
	client := http.Client{Timeout: 500 * time.Millisecond}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func TestPartsAreKilledFrozenAndRestarted(t *testing.T) {
	stack := devstacktest.Start(t, devstacktest.Primary, devstacktest.BackupA)
	primary, backup := stack.Store(t, devstacktest.Primary), stack.Store(t, devstacktest.BackupA)
	want := func(when string, primaryUp bool) {
		t.Helper()
		if err := answers(primary.Endpoint); (err == nil) != primaryUp {
			t.Fatalf("%s: the primary's answer is %v", when, err)
		}
		if err := answers(backup.Endpoint); err != nil {
			t.Fatalf("%s: the backup's answer is %v", when, err)
		}
	}
	want("at the start", true)
	stack.Kill(t, devstacktest.Primary)
	want("after a kill", false)
	stack.Restart(t, devstacktest.Primary)
	want("after a restart", true)
	stack.Freeze(t, devstacktest.Primary)
	want("frozen", false)
	stack.Thaw(t, devstacktest.Primary)
	want("thawed", true)
	stack.Stop(t, devstacktest.Primary)
	want("stopped", false)
	stack.Restart(t, devstacktest.Primary)
	want("after another restart", true)
	stack.Freeze(t, devstacktest.Primary) // the end of the test must cope with it
}

func TestTemporalKeepsItsAddresses(t *testing.T) {
	stack := devstacktest.Start(t, devstacktest.Temporal)
	if stack.Temporal == "" || stack.Metrics == "" || len(stack.Stores) != 0 {
		t.Fatalf("%+v", stack)
	}
	if err := answers(stack.UI); err != nil {
		t.Fatal(err)
	}
	stack.Kill(t, devstacktest.Temporal)
	if err := answers(stack.UI); err == nil {
		t.Fatal("still answers")
	}
	stack.Restart(t, devstacktest.Temporal)
	if err := answers(stack.UI); err != nil {
		t.Fatal(err)
	}
	if err := answers(stack.Metrics); err != nil {
		t.Fatal(err)
	}
}
