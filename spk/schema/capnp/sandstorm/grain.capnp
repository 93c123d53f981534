@0xc8d91463cfc4fb4a;
# What an app offers (UiView) and what the host offers it (SandstormApi, SessionContext).

using Util = import "util.capnp";
using Powerbox = import "powerbox.capnp";
using Activity = import "activity.capnp";
using Identity = import "identity.capnp";

interface SandstormApi @0xd2654fcf2a7002cb (AppObjectId) {
  # The host's bootstrap capability towards the app.

  deprecatedPublish @0 ();
  deprecatedRegisterAction @1 ();
  shareCap @2 (cap :Capability, displayInfo :Powerbox.PowerboxDisplayInfo)
           -> (sharedCap :Capability, link :SharingLink);
  shareView @3 (view :UiView) -> (sharedView :UiView, link :ViewSharingLink);
  save @8 (cap :Capability, label :Util.LocalizedText) -> (token :Data);
  restore @4 (token :Data) -> (cap :Capability);
  drop @5 (token :Data);
  deleted @6 (ref :AppObjectId);
  stayAwake @7 (displayInfo :Activity.NotificationDisplayInfo,
                notification :Activity.OngoingNotification)
            -> (handle :Util.Handle);
  backgroundActivity @9 (event :Activity.ActivityEvent);
  getIdentityId @10 (identity :Identity.Identity) -> (id :Data);
  schedule @11 ScheduledJob -> ();
}

struct ScheduledJob {
  name @0 :Util.LocalizedText;
  callback @1 :Callback;

  schedule :union {
    oneShot :group {
      when @2 :Util.DateInNs;
      slack @3 :Util.DurationInNs;
    }
    periodic @4 :SchedulingPeriod;
  }

  interface Callback {
    run @0 () -> (cancelFutureRuns :Bool);
  }
}

enum SchedulingPeriod {
  annually @3;
  monthly @2;
  weekly @4;
  daily @1;
  hourly @0;
}

interface UiView @0xdbb4d798ea67e2e7 {
  getViewInfo @0 () -> ViewInfo;

  struct ViewInfo {
    permissions @0 :List(PermissionDef);
    roles @1 :List(RoleDef);
    deniedPermissions @2 :Identity.PermissionSet;
    matchRequests @3 :List(Powerbox.PowerboxDescriptor);
    matchOffers @4 :List(Powerbox.PowerboxDescriptor);
    appTitle @5 :Util.LocalizedText;
    grainIcon @6 :Util.StaticAsset;
    eventTypes @7 :List(Activity.ActivityTypeDef);
  }

  struct PowerboxTag {
    title @0 :Text;
  }

  newSession @1 (userInfo :Identity.UserInfo, context :SessionContext, sessionType :UInt64,
                 sessionParams :AnyPointer, tabId :Data) -> (session :UiSession);

  newRequestSession @2 (userInfo :Identity.UserInfo, context :SessionContext,
                        sessionType :UInt64, sessionParams :AnyPointer,
                        requestInfo :List(Powerbox.PowerboxDescriptor), tabId :Data)
                    -> (session :UiSession);

  newOfferSession @3 (userInfo :Identity.UserInfo, context :SessionContext,
                      sessionType :UInt64, sessionParams :AnyPointer, offer :Capability,
                      descriptor :Powerbox.PowerboxDescriptor, tabId :Data)
                  -> (session :UiSession);
}

interface UiSession @0xf63241ee58b5166f {
  # Base of all session types.
}

interface SessionContext @0xbf3e401d5a63f336 {
  # The host's side of one session.

  getSharedPermissions @0 () -> (var :Util.Assignable(Identity.PermissionSet).Getter);
  tieToUser @1 (cap :Capability, requiredPermissions :Identity.PermissionSet,
                displayInfo :Powerbox.PowerboxDisplayInfo) -> (tiedCap :Capability);
  offer @2 (cap :Capability, requiredPermissions :Identity.PermissionSet,
            descriptor :Powerbox.PowerboxDescriptor,
            displayInfo :Powerbox.PowerboxDisplayInfo);
  request @3 (query :List(Powerbox.PowerboxDescriptor),
              requiredPermissions :Identity.PermissionSet)
          -> (cap :Capability, descriptor :Powerbox.PowerboxDescriptor);
  fulfillRequest @4 (cap :Capability, requiredPermissions :Identity.PermissionSet,
                     descriptor :Powerbox.PowerboxDescriptor,
                     displayInfo :Powerbox.PowerboxDisplayInfo);
  close @5 ();
  openView @6 (view :UiView, path :Text = "", newTab :Bool = false);
  claimRequest @7 (requestToken :Text, requiredPermissions :Identity.PermissionSet)
               -> (cap :Capability);
  activity @8 (event :Activity.ActivityEvent);
}

struct PermissionDef {
  name @3 :Text;
  title @0 :Util.LocalizedText;
  description @1 :Util.LocalizedText;
  obsolete @2 :Bool = false;
}

struct RoleDef {
  title @0 :Util.LocalizedText;
  verbPhrase @1 :Util.LocalizedText;
  description @2 :Util.LocalizedText;
  permissions @3 :Identity.PermissionSet;
  obsolete @4 :Bool = false;
  default @5 :Bool = false;
}

interface SharingLink @0xc05520c9b0994ad3 {
  getPetname @0 () -> (name :Util.Assignable(Util.LocalizedText));
}

interface ViewSharingLink @0xa4f82f764dc3fee8 extends(SharingLink) {
  getRoleAssignment @0 () -> (var :Util.Assignable(RoleAssignment));

  struct RoleAssignment {
    union {
      none @0 :Void;
      allAccess @1 :Void;
      roleId @2 :UInt16;
    }
    addPermissions @3 :Identity.PermissionSet;
    removePermissions @4 :Identity.PermissionSet;
  }
}

struct GrainInfo {
  # The `metadata` member of a backup.

  appId @0 :Text;
  appVersion @1 :UInt32;
  title @2 :Text;
  ownerIdentityId @3 :Text;
  users @4 :List(User);
  originalGrainId @5 :Text;

  struct User {
    identityId @0 :Text;
    credentialIds @1 :List(Text);
    profile @2 :Identity.Profile;
  }
}

interface AppPersistent @0xaffa789add8747b8 (AppObjectId) {
  # Implemented by objects of the app that can be saved.

  save @0 () -> (objectId :AppObjectId, label :Util.LocalizedText);
}

interface MainView @0xc277e9822ae2c8fc (AppObjectId) extends(UiView) {
  # The app's bootstrap capability.

  restore @0 (objectId :AppObjectId) -> (cap :Capability);
  drop @1 (objectId :AppObjectId);
}
