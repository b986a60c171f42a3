//! The twin's data plane against the published walk-through of Alleycat.

use alleycat_operator::twin::World;

#[test]
fn the_embedded_world_is_valid() {
    assert_eq!(World::alleycat().racers(), 1_000);
}
