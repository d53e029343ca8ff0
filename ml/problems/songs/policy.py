"""The defaults of the policy for the jukebox, where they differ from those of the engine, with reasons.

The numbers of the real charts are of six days in 72 countries, with 474 test songs.
"""

from collections.abc import Mapping

from ml.gate.policy import Default
from ml.problems.songs.columns import FEATURES

THRESHOLDS: Mapping[str, Default] = {
    "data.required_checks": (
        (
            "rankings.columns <= 0",
            "rankings.types <= 0",
            "rankings.rows >= 1000",
            "rankings.countries >= 5",
            "rankings.country_code <= 0",
            "rankings.daily_rank <= 0",
            "rankings.song_present <= 0",
            "rankings.unique <= 0",
            "rankings.known_songs >= 0.99",
            "rankings.release_date <= 0.01",
            "rankings.snapshot_date <= 0",
            "songs.columns <= 0",
            "songs.types <= 0",
            "songs.rows >= 100",
            "songs.song_present <= 0",
            "songs.unique <= 0",
            "songs.features_present <= 0",
            "songs.features_in_range <= 0",
            "songs.broken <= 0.01",
        ),
        "Fewer than 1000 chart rows are no charts, and below 100 songs none of the splits is worth its "
        "name. To name the five most probable of five countries is no news. Songs without features cannot "
        "be learned from: all ranked songs are known in the real charts. Spotify could not analyse 0.0005 "
        "of the songs of the real table. Slices of years would vanish unnoticed where dates of release "
        "cannot be read.",
    ),
    "data.max_left_out": (
        0.02,
        "`data.left_out`: songs that the snapshot left out because their recording spans the sealed and "
        "the open side, or is a near copy of a sealed one. The first holdout of the real charts leaves out "
        "0.0003; many more mean that the songs table has changed, or that somebody puts in copies.",
    ),
    "drift.required_features": (
        FEATURES,
        "The features that must have been compared: all inputs of the model.",
    ),
    "drift.psi_warn": (
        0.1,
        "Population stability index of the worst feature. The real charts of six days give 0.02 "
        "between their halves by day and up to 0.05 between halves of their songs; below 0.1 is "
        "commonly called stable.",
    ),
    "drift.ks_warn": (
        0.1,
        "Kolmogorov-Smirnov distance of the worst feature. Halves of the real charts' songs give up to 0.07.",
    ),
    "drift.ks_block": (
        0.2,
        "One feature of the real charts that is a tenth too large gives 0.16, and one twice as large 0.8.",
    ),
    "drift.class_shift_warn": (
        0.2,
        "Total variation of the countries' shares: 0.10 between halves of the real charts by day, "
        "of which one lacks half a day, and 0.13 between halves of their songs.",
    ),
    "drift.class_shift_block": (
        0.33,
        "A third of the charts elsewhere is another market.",
    ),
    "drift.lost_share_warn": (
        0.01,
        "What the champion knew of countries that are gone. One of 72 countries is 0.014, and "
        "should be known.",
    ),
    "drift.lost_share_block": (
        0.05,
        "More than three of 72 countries at once look like a feed that was cut off.",
    ),
    "drift.correlation_warn": (
        0.2,
        "Largest change of any of the 78 correlations of two features: 0.04 between halves of the "
        "real charts by day, up to 0.15 between halves of their songs.",
    ),
    "drift.changed_examples_warn": (
        0.005,
        "A song's features are measured once: on the real charts none changes in six days, and a "
        "few may be analysed anew.",
    ),
    "drift.moved_examples_warn": (
        0.35,
        "Songs that chart most in another country than before: 0.17 between halves of the real "
        "charts by day.",
    ),
    "drift.moved_examples_block": (
        0.6,
        "Countries that are shuffled over the charts move 0.99.",
    ),
    "drift.twins_warn": (
        0.02,
        "How many more songs than before have exactly another's features. On the real charts "
        "0.009 have: singles that are on an album too.",
    ),
    "drift.growth_warn": (
        1.5,
        "Chart rows against the champion's: more is welcome, unless it is the same charts twice.",
    ),
    "evaluation.min_gain_over_prior_nats": (
        0.05,
        "The lower end of the interval of (prior's log loss - model's) must be above this. Real "
        "charts of six days leave 0.3 nats to gain; a third of that would already be worth "
        "serving, and a model that learned nothing scores at or below zero.",
    ),
    "evaluation.min_top5_mass_over_prior": (
        2.0,
        "Top-5 mass as a multiple of the prior's: the real charts give four.",
    ),
    "evaluation.max_calibration_error": (
        0.1,
        "How far the probability of the most probable country may be from how often that is "
        "right, on average over ten groups of songs of about as many chart rows. Six days of real "
        "charts give 0.03, with 438 test songs.",
    ),
    "champion.margin_log_loss_nats": (
        0.05,
        "How much worse the log loss may be: a sixth of the 0.3 nats that real charts of six days "
        "leave to gain over the prior. The same training from two seeds differs there by 0.03 "
        "nats at times: less than this takes more than their 474 test songs. What models lose "
        "little by little, the gain over the prior above stops.",
    ),
    "champion.margin_top5_mass": (
        0.03,
        "How much less the top-5 mass may be: a sixth of what the network gains over the prior on "
        "real charts, 0.16.",
    ),
    "champion.margin_hit_at_5": (
        0.05,
        "How many fewer songs may be hit by their five most probable countries: a sixth of what "
        "the network gains over the prior on real charts, 0.27.",
    ),
    "slices.required": (
        ("explicit=yes", "explicit=no"),
        "Slices that must be in the evaluation with support, `*` for any part of a name. Explicit "
        "songs are a fifth of the charts and sound different; which countries and years there are "
        "depends on the data.",
    ),
    "slices.min_examples": (
        20,
        "A slice of fewer test songs is not judged: where a few songs carry the whole gain, the "
        "p-values of ten songs block good models again and again. Six days of real charts give a "
        "country 7 to 21.",
    ),
    "slices.floor_gain_over_prior_nats": (
        -0.25,
        "No slice may be shown to have a smaller (prior's log loss - model's). The p-values are "
        "about this number (`FLOOR` of ml/measure/slices.py): a higher one here blocks, a lower one "
        "changes nothing. Below zero since a model that wins on average may lose a little "
        "somewhere: on six days of real charts the true gain of a country is known to 0.2 nats, "
        "and a model that is lost in a country loses whole nats.",
    ),
}
