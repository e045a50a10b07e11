package about

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func TestWordsGoWithTheirKey(t *testing.T) {
	keys, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	ctx, id, other := t.Context(), video.NewID(), video.NewID()
	for _, one := range []video.ID{id, other} {
		if err := keys.Make(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	said := Video{Owner: "ann", Title: "Waves", Hashtags: []string{"sea"}, Reviewers: []string{"bob"}, Request: []byte{1}}
	sealed, err := Seal(ctx, keys, id, said)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(ctx, keys, id, sealed); err != nil || !reflect.DeepEqual(got, said) {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := Open(ctx, keys, other, sealed); err == nil {
		t.Errorf("opened for another video: %+v", got)
	}
	if got, err := Open(ctx, keys, id, nil); err != nil || !reflect.DeepEqual(got, Video{}) {
		t.Errorf("without a column: %+v %v", got, err)
	}
	if _, err := keys.Destroy(ctx, vault.Intent{ID: id, Reason: "deleted"}); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(ctx, keys, id, sealed); err != nil || !reflect.DeepEqual(got, Video{}) {
		t.Errorf("once the key is gone: %+v %v", got, err)
	}
}
