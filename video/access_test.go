package video

import "testing"

// What everybody may see and watch, as one table: s sees, w watches too, - neither
// (404), x neither any more (410). A decided reviewer is one who approved or rejected.
func TestAccess(t *testing.T) {
	const columns = "anyone owner operator reviewer decided interacted"
	who := []Facts{
		{}, {Roles: []Role{Owner}}, {Roles: []Role{Operator}}, {Roles: []Role{Reviewer}},
		{Roles: []Role{Reviewer}, Decided: true}, {Interacted: true},
	}
	for _, row := range []struct {
		stage      Stage
		ending     Ending
		visibility Visibility
		want       string
	}{
		{Uploading, "", Public, "-ss---"},
		{Uploading, ByDeletion, Public, "-ss---"},
		{Processing, "", Public, "-ss---"},
		{Reviewing, "", Public, "-wwww-"},
		{Reviewing, "", Private, "-wwww-"},
		{Reviewing, ByDeletion, Public, "-ss---"},
		{Scheduled, "", Public, "-ww-s-"},
		{Publishing, "", Private, "-ww-s-"},
		{Published, "", Public, "wwwwww"},
		{Published, "", Unlisted, "wwwwww"},
		{Published, "", Private, "-ww---"},
		{PendingDeletion, ByDeletion, Public, "-ss--w"},
		{PendingDeletion, ByDeletion, Private, "-ss---"},
		{Purging, ByDeletion, Public, "xssxxx"},
		{Purged, ByDeletion, Public, "xxxxxx"},
		{Draft, "", Public, "-ss---"},
		{Canceled, ByCancellation, Public, "-ss---"},
		{Rejected, ByRejection, Public, "-ss-s-"},
	} {
		got := ""
		for _, f := range who {
			f.State, f.Visibility = State{Stage: row.stage, Ending: row.ending}, row.visibility
			got += letter(f.Access())
		}
		if got != row.want {
			t.Errorf("%s %s %s: %s, want %s (%s)", row.stage, row.ending, row.visibility, got, row.want, columns)
		}
	}
}

func letter(a Access) string {
	switch {
	case a.Watches == nil:
		return "w"
	case a.Sees == nil:
		return "s"
	case CodeOf(a.Sees) == Gone:
		return "x"
	}
	return "-"
}

// Nothing is watched that can't be seen.
func TestAccessOfWhatIsNotSeen(t *testing.T) {
	for _, stage := range Stages {
		for _, v := range []Visibility{Public, Unlisted, Private} {
			if a := (Facts{State: State{Stage: stage}, Visibility: v}).Access(); a.Sees != nil && a.Watches == nil {
				t.Errorf("%s %s is watched unseen", stage, v)
			}
		}
	}
}

// Who may change the captions, when: y they may, f not theirs, c not now, x no more, - unseen.
func TestWhoChangesCaptions(t *testing.T) {
	for _, row := range []struct {
		state State
		want  string // of anyone, the owner, an operator, a reviewer
	}{
		{State{Stage: Uploading}, "-yy-"},
		{State{Stage: Uploading, Paused: true}, "-yy-"},
		{State{Stage: Reviewing}, "-yyf"},
		{State{Stage: Published}, "fyyf"},
		{State{Stage: Published, Held: true}, "fccf"},
		{State{Stage: Publishing, Ending: ByDeletion}, "-xx-"},
		{State{Stage: PendingDeletion, Ending: ByDeletion}, "-xx-"},
		{State{Stage: Purging, Ending: ByExpiry}, "xxxx"},
		{State{Stage: Purged, Ending: ByDeletion}, "xxxx"},
		{State{Stage: Draft}, "-cc-"},
		{State{Stage: Canceled, Ending: ByCancellation}, "-cc-"},
		{State{Stage: Rejected, Ending: ByRejection}, "-cc-"},
	} {
		got := ""
		for _, roles := range [][]Role{nil, {Owner}, {Operator}, {Reviewer}} {
			err := Facts{State: row.state, Roles: roles}.Captions()
			letter := map[Code]string{NotFound: "-", Forbidden: "f", Conflict: "c", Gone: "x"}[CodeOf(err)]
			if err == nil {
				letter = "y"
			}
			got += letter
		}
		if got != row.want {
			t.Errorf("%+v: %s, want %s", row.state, got, row.want)
		}
	}
}
